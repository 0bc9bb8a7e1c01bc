import { type DaySpan, parseHours } from '../hours.ts';
import { type DayKind, monthOf, parseDays, parseMonths, weekdayOf } from './zone-days.ts';

/** A zone as it stands in the configuration. */
export interface ZoneTerms {
  readonly name?: string | undefined;
  readonly price_per_kwh: number;
  readonly hours?: string | undefined;
  readonly days?: string | undefined;
  readonly months?: string | undefined;
}

/** When a zone holds, by the date and the minute on the wall. What a zone does not name, it holds in all of. */
export interface Zone {
  readonly spans: readonly DaySpan[];
  readonly days: ReadonlySet<DayKind> | null;
  readonly months: ReadonlySet<number> | null;
}

/**
 * Whether there is a time at which none of these zones holds, in any year. A holiday may be any day, where there are
 * some. What the clock skips counts as a time.
 */
export function leaveGap(terms: readonly ZoneTerms[], withHolidays: boolean): boolean {
  const zones = terms.map(zoneOf);
  const minutes = [0, ...zones.flatMap(({ spans }) => spans.flatMap(({ from, to }) => [from, to % MINUTES]))];
  return datesOf(withHolidays).some((day) =>
    minutes.some((minute) => !zones.some((zone) => holdsOn(zone, minute, day))),
  );
}

/** A day and the one before it, by what zones ask of them. */
interface Dates {
  readonly kind: DayKind;
  readonly month: number;
  readonly before: Omit<Dates, 'before'>;
}

/** All pairs of days that a calendar can have. */
function datesOf(withHolidays: boolean): readonly Dates[] {
  const first = (count: number) => Array.from({ length: count }, (_, place) => place);
  const kindsOf = (day: number): readonly DayKind[] => [
    day as DayKind,
    ...(withHolidays ? (['holiday'] as const) : []),
  ];
  const months = first(12).flatMap((month) => [month, (month + 11) % 12].map((before) => ({ month, before })));
  const kinds = first(7).flatMap((day) =>
    kindsOf(day).flatMap((kind) => kindsOf((day + 6) % 7).map((before) => ({ kind, before }))),
  );
  return months.flatMap(({ month, before }) =>
    kinds.map((one) => ({ kind: one.kind, month, before: { kind: one.before, month: before } })),
  );
}

export function zoneOf({ hours, days, months }: ZoneTerms): Zone {
  return {
    spans: parseHours(hours ?? '00:00-24:00'),
    days: days === undefined ? null : parseDays(days),
    months: months === undefined ? null : parseMonths(months),
  };
}

/**
 * Whether a zone holds at a minute of a local day. Hours over midnight belong to the day, and the month, that they begin
 * in: `fri` with `22:00-06:00` reaches into Saturday morning.
 */
export function holds(zone: Zone, day: number, minute: number, holidays: ReadonlySet<number>): boolean {
  return holdsOn(zone, minute, { ...dateOf(day, holidays), before: dateOf(day - 1, holidays) });
}

function holdsOn(zone: Zone, minute: number, day: Dates): boolean {
  return zone.spans.some(({ from, to }) => {
    if (from < to) return from <= minute && minute < to && isOn(zone, day);
    return (minute >= from && isOn(zone, day)) || (minute < to && isOn(zone, day.before));
  });
}

function isOn({ days, months }: Zone, { kind, month }: Omit<Dates, 'before'>): boolean {
  return (days?.has(kind) ?? true) && (months?.has(month) ?? true);
}

function dateOf(day: number, holidays: ReadonlySet<number>): Omit<Dates, 'before'> {
  return { kind: dayKind(day, holidays), month: monthOf(day) };
}

const MINUTES = 24 * 60;

/**
 * A holiday is no day of the week, as in the tables of suppliers, whose working days are "Monday to Friday except
 * holidays": a zone that also holds on holidays says so (`sat,sun,holiday`), and one that names no days holds on all.
 */
export function dayKind(day: number, holidays: ReadonlySet<number>): DayKind {
  return holidays.has(day) ? 'holiday' : (weekdayOf(day) as DayKind);
}
