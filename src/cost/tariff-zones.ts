import { createHash } from 'node:crypto';
import { decimalOf, type EpochMillis, nanoOf } from '../units.ts';
import { DAY_MS, type Even, MINUTE_MS, remembered, type WallClock, wallClock } from './local-time.ts';
import { dividedBy, type Slice, type Span, type Tariff } from './tariff.ts';
import { holds, type ZoneTerms, zoneOf } from './zone.ts';
import { dayNumber } from './zone-days.ts';

/** What the configuration says of a tariff; it must have been found to be good. */
export interface TariffTerms {
  readonly pricePerKwh: number;
  readonly currency: string;
  /** The user did not say what electricity costs outside of all zones, and there is such a time. */
  readonly assumed: boolean;
  /** Null: that of this host. */
  readonly timezone: string | null;
  readonly zones: readonly ZoneTerms[];
  /** ISO dates, in the time zone. */
  readonly holidays: readonly string[];
  readonly chargesPerKwh: number;
  readonly taxPercent: number;
}

/** A part of time in which the same zone sets the price. */
export interface Part extends Slice {
  /** Its place in the terms; null outside of all zones. */
  readonly zone: number | null;
}

/** A tariff that can explain itself. */
export interface ZonedTariff extends Tariff {
  readonly terms: TariffTerms;
  /** A span cut where another zone begins to set the price, also where that is the same. */
  parts(span: Span): readonly Part[];
  /** Places of all zones that hold at an instant; the last of them sets the price. */
  matching(at: EpochMillis): readonly number[];
}

/**
 * Prices by the clock on the wall: of all zones that hold the last one counts, and the base price where none does. A
 * kilowatt-hour costs (price + charges) × (1 + tax), to the nearest nano-unit. An hour that the clock skips has no
 * price, one that comes twice has its price both times.
 */
export function zonedTariff(terms: TariffTerms): ZonedTariff {
  const clock = wallClock(terms.timezone);
  const matching = matcher(terms, clock);
  const parts = partsFinder(terms, clock, matching);
  return {
    ...namesOf(terms, clock.timezone),
    currency: terms.currency,
    method: terms.assumed ? 'assumed' : 'measured',
    terms,
    clock,
    methodIn: (span) => (terms.assumed && parts(span).some(({ zone }) => zone === null) ? 'assumed' : 'measured'),
    day: (at) => clock.day(at),
    parts,
    slices: (span) =>
      joined(parts(span), (one, other) => one.nano === other.nano).map(({ from, to, nano }) => ({ from, to, nano })),
    matching,
  };
}

/** A kilowatt-hour in nano-units, with charges and tax, to the nearest one. @param price without them */
export function allIn(price: number, { chargesPerKwh, taxPercent }: TariffTerms): bigint {
  const whole = nanoOf(100);
  return dividedBy((nanoOf(price) + nanoOf(chargesPerKwh)) * (whole + nanoOf(taxPercent)), whole);
}

function matcher(terms: TariffTerms, clock: WallClock): ZonedTariff['matching'] {
  const zones = terms.zones.map(zoneOf);
  const holidays = new Set(terms.holidays.flatMap((date) => dayNumber(date) ?? []));
  return (at) => {
    const wall = clock.wall(at);
    const day = Math.floor(wall / DAY_MS);
    const minute = Math.floor((wall - day * DAY_MS) / MINUTE_MS);
    return zones.flatMap((zone, place) => (holds(zone, day, minute, holidays) ? [place] : []));
  };
}

function partsFinder(terms: TariffTerms, clock: WallClock, matching: ZonedTariff['matching']): ZonedTariff['parts'] {
  const base = allIn(terms.pricePerKwh, terms);
  if (terms.zones.length === 0) return (span) => [{ ...span, nano: base, zone: null }];
  const prices = terms.zones.map((zone) => allIn(zone.price_per_kwh, terms));
  const spans = terms.zones.flatMap((zone) => zoneOf(zone).spans);
  const minutes = [...new Set([0, ...spans.flatMap(({ from, to }) => [from, to])])];
  const sameZone = (one: Part, other: Part) => one.zone === other.zone;
  const partsOfDay = remembered((utcDay) => {
    const cuts = clock.stretches(utcDay).flatMap((even) => cutAt(even, minutes));
    return joined(
      cuts.map((span): Part => {
        const zone = matching(span.from).at(-1);
        return zone === undefined ? { ...span, nano: base, zone: null } : { ...span, nano: prices[zone] ?? base, zone };
      }),
      sameZone,
    );
  });
  return (span) => joined(within(span, partsOfDay), sameZone);
}

/** Parts of a day that may differ: one ends at midnight, or where a zone may begin or end. */
function cutAt({ from, to, offset }: Even, minutes: readonly number[]): readonly Span[] {
  const days = [from, to].map((at) => Math.floor((at + offset) / DAY_MS));
  const cuts = [...new Set(days)].flatMap((day) => minutes.map((minute) => day * DAY_MS + minute * MINUTE_MS - offset));
  const inside = cuts.filter((at) => from < at && at < to).sort((one, other) => one - other);
  return [from, ...inside].map((begin, place) => ({ from: begin, to: inside[place] ?? to }));
}

function within(span: Span, partsOfDay: (utcDay: number) => readonly Part[]): readonly Part[] {
  const found: Part[] = [];
  const last = Math.max(span.from, span.to - 1);
  for (let day = Math.floor(span.from / DAY_MS); day * DAY_MS <= last; day += 1) {
    for (const part of partsOfDay(day)) {
      if (part.to <= span.from || part.from > last) continue;
      found.push({ ...part, from: Math.max(part.from, span.from), to: Math.min(part.to, span.to) });
    }
  }
  return found;
}

/** Neighbours that are alike become one. */
function joined<Some extends Span>(
  parts: readonly Some[],
  alike: (one: Some, other: Some) => boolean,
): readonly Some[] {
  const found: Some[] = [];
  for (const part of parts) {
    const before = found.at(-1);
    if (before !== undefined && alike(before, part)) found[found.length - 1] = { ...before, to: part.to };
    else found.push(part);
  }
  return found;
}

/** The time zone is that which was found, so that the same text means the same prices on another host. */
function namesOf(terms: TariffTerms, timezone: string): Pick<Tariff, 'id' | 'body'> {
  const { assumed, chargesPerKwh, currency, holidays, pricePerKwh, taxPercent, zones } = terms;
  const flat = zones.length === 0;
  const body = JSON.stringify({
    assumed,
    charges_per_kwh: chargesPerKwh,
    currency,
    ...(!flat && { holidays: [...holidays].sort() }),
    price_per_kwh: pricePerKwh,
    tax_percent: taxPercent,
    ...(!flat && { timezone, zones: zones.map(sortedZone) }),
  });
  const digits = createHash('sha256').update(body).digest('hex').slice(0, 12);
  if (!flat) return { id: `zones:${digits}`, body };
  const name = `flat:${decimalOf(allIn(pricePerKwh, terms))}:${currency}:${assumed ? 'default' : 'config'}`;
  // Other parts can make the same price.
  return { id: chargesPerKwh === 0 && taxPercent === 0 ? name : `${name}:${digits}`, body };
}

function sortedZone({ days, hours, months, name, price_per_kwh }: ZoneTerms): ZoneTerms {
  return { days, hours, months, name, price_per_kwh };
}
