import { DAY_MS } from './local-time.ts';

/** Days of the week and months of the year, as zones of a tariff name them. */

/** Monday is 0; a holiday is no day of the week. */
export type DayKind = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 'holiday';

/** @param text one that {@link daysFault} finds nothing in: `mon-fri,holiday`, `fri-mon` */
export function parseDays(text: string): ReadonlySet<DayKind> {
  return new Set(
    text.split(',').flatMap((part): readonly DayKind[] => {
      return nameOf(part) === HOLIDAY ? [HOLIDAY] : (namesFrom(part, WEEKDAYS) ?? []).filter(isWeekday);
    }),
  );
}

/** Why a text cannot be the days of a zone; undefined for one that can. */
export function daysFault(text: string): string | undefined {
  const good = (part: string) => nameOf(part) === HOLIDAY || namesFrom(part, WEEKDAYS) !== undefined;
  return text.split(',').every(good) ? undefined : 'expected days as mon-fri, sat,sun or sun,holiday';
}

/** Numbers of months, January is 0. @param text one that {@link monthsFault} finds nothing in: `oct-mar`, `jan,jul` */
export function parseMonths(text: string): ReadonlySet<number> {
  return new Set(text.split(',').flatMap((part) => namesFrom(part, MONTHS) ?? []));
}

/** Why a text cannot be the months of a zone; undefined for one that can. */
export function monthsFault(text: string): string | undefined {
  const good = text.split(',').every((part) => namesFrom(part, MONTHS) !== undefined);
  return good ? undefined : 'expected months as oct-mar or jun,jul,aug';
}

/** Why a text is no date; undefined for one that the calendar has. */
export function dateFault(text: string): string | undefined {
  return dayNumber(text) === undefined ? 'expected a date, as 2026-12-24' : undefined;
}

/** Days from 1970-01-01 to a date, which is of no time zone; undefined for what the calendar does not have. */
export function dayNumber(date: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(date)) return undefined;
  const at = Date.parse(`${date}T00:00:00Z`);
  return Number.isNaN(at) || dateOf(at / DAY_MS) !== date ? undefined : at / DAY_MS;
}

/** The date that {@link dayNumber} is of. */
export function dateOf(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

/** 0 for a Monday. */
export function weekdayOf(day: number): number {
  // The first of January 1970 was a Thursday.
  return (((day + 3) % 7) + 7) % 7;
}

export function monthOf(day: number): number {
  return new Date(day * DAY_MS).getUTCMonth();
}

const HOLIDAY = 'holiday';
const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'] as const;

function nameOf(part: string): string {
  return part.trim().toLowerCase();
}

/** Places of one name, or of all from one to another, around the end where that comes first; undefined for others. */
function namesFrom(part: string, names: readonly string[]): readonly number[] | undefined {
  const [first, last = first, ...more] = part.split(/[-–]/).map((name) => names.indexOf(nameOf(name)));
  if (first === undefined || last === undefined || first < 0 || last < 0 || more.length > 0) return undefined;
  const count = ((last - first + names.length) % names.length) + 1;
  return Array.from({ length: count }, (_, ahead) => (first + ahead) % names.length);
}

function isWeekday(day: number): day is Exclude<DayKind, 'holiday'> {
  return day in WEEKDAYS;
}
