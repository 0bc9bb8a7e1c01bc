import { type Calendar, dayAfter, monthsAfter, QUARTER_MS } from '../cost/local-days.ts';
import { InputError } from '../errors.ts';
import type { LedgerSpan } from '../ports.ts';
import type { EpochMillis } from '../units.ts';

export interface PeriodFlags {
  /** `2026-11` */
  readonly month?: string;
  /** A day, or a time on a quarter of an hour. */
  readonly from?: string;
  /** A day, which is included, or a time, which is not. */
  readonly to?: string;
}

const DAYS_30 = 30 * 86_400_000;

/**
 * What a report is of, cut at quarters of an hour: a month, any span, or else the last 30 days. It ends now at the latest.
 * @throws InputError `bad_flag`
 */
export function periodOf(flags: PeriodFlags, now: EpochMillis, calendar: Calendar): LedgerSpan {
  const latest = now - (now % QUARTER_MS) + QUARTER_MS;
  if (flags.month !== undefined && (flags.from !== undefined || flags.to !== undefined))
    throw refused('is a whole month; leave --from and --to out', '--month');
  const asked = flags.month === undefined ? spanOf(flags, latest, calendar) : monthOf(flags.month, calendar);
  const span = { from: asked.from, to: Math.min(asked.to, latest) };
  if (span.from >= latest) throw refused('begins in the future', flags.month === undefined ? '--from' : '--month');
  if (span.from >= span.to) throw refused('ends before it begins', '--to');
  return span;
}

/** Whether a later end than today's was asked for. */
export function endsEarly({ to }: PeriodFlags, span: LedgerSpan, calendar: Calendar): boolean {
  return to !== undefined && endOf(to, calendar) > span.to && !(isDay(to) && calendar.dayOf(span.to - 1) === to);
}

function monthOf(text: string, calendar: Calendar): LedgerSpan {
  const first = `${text}-01`;
  if (!isDay(first)) throw refused(`needs a month as 2026-11, not "${text}"`, '--month');
  return { from: calendar.startOf(first), to: calendar.startOf(monthsAfter(first, 1)) };
}

function spanOf({ from, to }: PeriodFlags, latest: EpochMillis, calendar: Calendar): LedgerSpan {
  const end = to === undefined ? latest : endOf(to, calendar);
  return {
    from: from === undefined ? Math.min(end, latest) - DAYS_30 : onQuarter(timeIn(from, '--from', calendar), '--from'),
    to: end,
  };
}

function endOf(text: string, calendar: Calendar): EpochMillis {
  return isDay(text) ? calendar.startOf(dayAfter(text)) : onQuarter(timeIn(text, '--to', calendar), '--to');
}

/**
 * A day's beginning, or a time: `2026-11-30`, `2026-11-30T14:00` by the tariff's clock, or with its offset.
 * @throws InputError `bad_flag`
 */
export function timeIn(text: string, place: string, calendar: Calendar): EpochMillis {
  if (isDay(text)) return calendar.startOf(text);
  const [, day = '', time = '', zone] =
    /^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?$/.exec(text) ?? [];
  const at = isDay(day) ? Date.parse(`${day}T${time}${zone ?? 'Z'}`) : Number.NaN;
  if (Number.isNaN(at))
    throw refused(`needs a date as 2026-11-30, or a time as 2026-11-30T14:00, not "${text}"`, place);
  return zone === undefined ? calendar.timeOf(`${day}T${time}`) : at;
}

function onQuarter(at: EpochMillis, place: string): EpochMillis {
  if (at % QUARTER_MS === 0) return at;
  throw refused('needs a day, or a time on a quarter of an hour, as the ledger is summed by them', place);
}

function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = new Date(`${text}T00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_flag', place });
}
