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
  return zone.spans.some(({ from, to }) => {
    if (from < to) return from <= minute && minute < to && isOn(zone, day, holidays);
    return (minute >= from && isOn(zone, day, holidays)) || (minute < to && isOn(zone, day - 1, holidays));
  });
}

function isOn({ days, months }: Zone, day: number, holidays: ReadonlySet<number>): boolean {
  return (days?.has(dayKind(day, holidays)) ?? true) && (months?.has(monthOf(day)) ?? true);
}

/**
 * A holiday is no day of the week, as in the tables of suppliers, whose working days are "Monday to Friday except
 * holidays": a zone that also holds on holidays says so (`sat,sun,holiday`), and one that names no days holds on all.
 */
export function dayKind(day: number, holidays: ReadonlySet<number>): DayKind {
  return holidays.has(day) ? 'holiday' : (weekdayOf(day) as DayKind);
}
