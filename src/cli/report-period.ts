import { type Calendar, dayAfter, monthsAfter, QUARTER_MS } from '../cost/local-days.ts';
import { DAY_MS } from '../cost/local-time.ts';
import { dayNumber } from '../cost/zone-days.ts';
import { InputError } from '../errors.ts';
import type { LedgerSpan } from '../ports.ts';
import type { EpochMillis, Millis } from '../units.ts';
import { parseMoment } from './tariff-time.ts';

export interface PeriodFlags {
  /** `2026-11` */
  readonly month?: string;
  /** A day, or a time on a quarter of an hour. */
  readonly from?: string;
  /** A day, which is included, or a time, which is not. */
  readonly to?: string;
}

const DAYS_30: Millis = 30 * DAY_MS;

/** Takes what is to be known of a time that the clock shows twice or never. */
export type OnNote = (note: string) => void;

/**
 * What a report is of, cut at quarters of an hour: a month, any span, or else the last 30 days. It ends now at the latest.
 * @throws InputError `bad_flag`
 */
export function periodOf(flags: PeriodFlags, now: EpochMillis, calendar: Calendar, onNote: OnNote): LedgerSpan {
  const latest = now - (now % QUARTER_MS) + QUARTER_MS;
  if (flags.month !== undefined && (flags.from !== undefined || flags.to !== undefined))
    throw refused('is a whole month; leave --from and --to out', '--month');
  const quarterIn = (text: string, place: string) => onQuarter(timeIn(text, place, calendar, onNote), place);
  const spanOf = ({ from, to }: PeriodFlags): LedgerSpan => {
    const isDay = to !== undefined && dayNumber(to) !== undefined;
    const end = to === undefined ? latest : isDay ? calendar.startOf(dayAfter(to)) : quarterIn(to, '--to');
    return { from: from === undefined ? Math.min(end, latest) - DAYS_30 : quarterIn(from, '--from'), to: end };
  };
  const asked = flags.month === undefined ? spanOf(flags) : monthOf(flags.month, calendar);
  const span = { from: asked.from, to: Math.min(asked.to, latest) };
  if (flags.to !== undefined && asked.to > latest && calendar.dayOf(now) !== flags.to)
    onNote(`--to ${flags.to} is later than now: the report ends with what is booked by ${calendar.minuteOf(now)}.`);
  if (span.from >= latest) throw refused('begins in the future', flags.month === undefined ? '--from' : '--month');
  if (span.from >= span.to) throw refused('ends before it begins', '--to');
  return span;
}

/**
 * A day's beginning, or a time: `2026-11-30`, `2026-11-30T14:00` by the tariff's clock, or with its offset.
 * @throws InputError `bad_flag`
 */
export function timeIn(text: string, place: string, { clock }: Calendar, onNote: OnNote): EpochMillis {
  const { at, note } = parseMoment(text, clock, place);
  if (note !== null) onNote(`! ${place}: ${note}`);
  return at;
}

function monthOf(text: string, calendar: Calendar): LedgerSpan {
  const first = `${text}-01`;
  if (dayNumber(first) === undefined) throw refused(`needs a month as 2026-11, not "${text}"`, '--month');
  return { from: calendar.startOf(first), to: calendar.startOf(monthsAfter(first, 1)) };
}

function onQuarter(at: EpochMillis, place: string): EpochMillis {
  if (at % QUARTER_MS === 0) return at;
  // Before there were time zones days began by the sun, at odd minutes; the ledger has nothing of then.
  if (at < 0) return Math.floor(at / QUARTER_MS) * QUARTER_MS;
  throw refused('needs a day, or a time on a quarter of an hour, as the ledger is summed by them', place);
}

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_flag', place });
}
