import type { LedgerSpan } from '../ports.ts';
import { type EpochMillis, type Method, nanoOf } from '../units.ts';
import { type Calendar, monthsAfter } from './local-days.ts';
import { DAY_MS, MINUTE_MS } from './local-time.ts';
import { type Amount, addedMoney, type Exchange, type Money, NOTHING } from './report-money.ts';
import { dividedBy } from './tariff.ts';

/** What costs money by the month, used or not. */
export interface Standing {
  /** Per calendar month, with tax. */
  readonly fixed: { readonly perMonth: number; readonly currency: string; readonly method: Method };
  readonly hardware: readonly Hardware[];
}

export interface Hardware {
  readonly price: number;
  readonly currency: string;
  /** ISO date from which it is written off, evenly by months. */
  readonly bought: string;
  readonly months: number;
  readonly resale: number;
}

/** What the time of a report costs by itself, and any part of that time. Parts that tile the time add up to it exactly. */
export interface StandingCosts {
  readonly fixed: (part: LedgerSpan) => Money;
  readonly amortisation: (part: LedgerSpan) => Money;
  /** What of a part of the time is in a currency without a rate, and so in neither of the two. */
  readonly apart: (part: LedgerSpan) => Readonly<Record<'fixed' | 'amortisation', readonly Amount[]>>;
  /** What of all the time is in another currency; without a rate, `home` is null. */
  readonly abroad: readonly { readonly currency: string; readonly nano: bigint; readonly home: bigint | null }[];
}

export function standingCosts(
  { fixed, hardware }: Standing,
  span: LedgerSpan,
  calendar: Calendar,
  exchange: Exchange,
): StandingCosts {
  const ofMonth = monthOf(calendar.dayOf(span.from));
  const connection = monthly(nanoOf(fixed.perMonth), null, ofMonth, calendar);
  const machines = hardware.map(({ price, resale, months, bought, currency }): Part => {
    const lost = nanoOf(price) - nanoOf(resale);
    return { upTo: monthly(lost, months, bought, calendar), currency, method: 'assumed' };
  });
  const parts: Readonly<Record<'fixed' | 'amortisation', readonly Part[]>> = {
    fixed: [{ upTo: connection, currency: fixed.currency, method: fixed.method }],
    amortisation: machines,
  };
  const abroad = Object.values(parts)
    .flat()
    .flatMap((part) => {
      const nano = amountOf(part, span);
      if (nano === 0n || part.currency === exchange.home) return [];
      return [{ currency: part.currency, nano, home: costOf(part, exchange)(span).nano }];
    });
  const apart = (all: readonly Part[], time: LedgerSpan): readonly Amount[] =>
    all.flatMap((part) => {
      const nano = exchange.rateOf(part.currency) === null ? amountOf(part, time) : 0n;
      return nano === 0n ? [] : [{ currency: part.currency, nano }];
    });
  const cost = (all: readonly Part[]) => {
    const costs = all.map((part) => costOf(part, exchange));
    return (time: LedgerSpan) => addedMoney(costs.map((of) => of(time)));
  };
  return {
    fixed: cost(parts.fixed),
    amortisation: cost(parts.amortisation),
    apart: (time) => ({ fixed: apart(parts.fixed, time), amortisation: apart(parts.amortisation, time) }),
    abroad,
  };
}

interface Part {
  /** Nano-units at a rate in billionths, from some moment before the report up to an instant, rounded once. */
  readonly upTo: Curve;
  readonly currency: string;
  readonly method: Method;
}

type Curve = (at: EpochMillis, rate: bigint) => bigint;

const BILLION = 1_000_000_000n;

/** In its own currency. */
function amountOf({ upTo }: Part, { from, to }: LedgerSpan): bigint {
  return upTo(to, BILLION) - upTo(from, BILLION);
}

/** At home. Differences of one rounded curve: they add up whatever the time is cut into. */
function costOf({ upTo, currency, method }: Part, exchange: Exchange): (part: LedgerSpan) => Money {
  const rate = exchange.rateOf(currency);
  return ({ from, to }) => {
    const nano = rate === null ? 0n : upTo(to, nanoOf(rate)) - upTo(from, nanoOf(rate));
    if (rate === null && amountOf({ upTo, currency, method }, { from, to }) !== 0n)
      return { nano: null, method: 'unknown', unknowns: 0, apart: 1, entries: 1 };
    if (nano === 0n) return NOTHING;
    return {
      nano,
      method: currency === exchange.home || method !== 'measured' ? method : 'derived',
      unknowns: 0,
      apart: 0,
      entries: 1,
    };
  };
}

/**
 * What has come together by an instant of an amount that grows evenly within each month.
 * @param nano of a month; where `months` is given, of all of them together
 * @param months how many there are; null: no end
 */
function monthly(nano: bigint, months: number | null, first: string, calendar: Calendar): Curve {
  const starts = new Map<number, EpochMillis>();
  const startOf = (month: number): EpochMillis => {
    const known = starts.get(month) ?? calendar.startOf(monthsAfter(first, month));
    starts.set(month, known);
    return known;
  };
  const parts = BigInt(months ?? 1);
  return (at, rate) => {
    if (nano === 0n || at <= startOf(0)) return 0n;
    let month = Math.max(0, Math.floor((at - startOf(0)) / LONGEST_MONTH_MS));
    while (startOf(month + 1) <= at) month += 1;
    if (months !== null && month >= months) return dividedBy(nano * rate, BILLION);
    const [from, to] = [startOf(month), startOf(month + 1)];
    const length = BigInt(to - from);
    return dividedBy(nano * rate * (BigInt(month) * length + BigInt(at - from)), parts * length * BILLION);
  };
}

const LONGEST_MONTH_MS = 31 * DAY_MS + 60 * MINUTE_MS;

/** Its first day. */
function monthOf(day: string): string {
  return `${day.slice(0, 7)}-01`;
}
