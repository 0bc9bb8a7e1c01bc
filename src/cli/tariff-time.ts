import { momentText } from '../cost/clock-text.ts';
import { DAY_MS, MINUTE_MS, type WallClock } from '../cost/local-time.ts';
import { dayNumber, weekdayOf } from '../cost/zone-days.ts';
import { InputError } from '../errors.ts';
import { timeOf } from '../hours.ts';
import type { EpochMillis, Millis } from '../units.ts';

export interface Moment {
  readonly at: EpochMillis;
  /** A sentence, where the clock shows this time twice or never; null for most. */
  readonly note: string | null;
}

/**
 * A time as users and files write it: `2026-03-29T02:30` on the clock on the wall, the date alone for the beginning of its
 * day, with `Z` or an offset for one that is the same everywhere.
 * @param place the flag, or the line of a file, that says it
 * @throws InputError `bad_flag`
 */
export function parseMoment(text: string, clock: WallClock, place: string): Moment {
  const [, date = '', time, seconds = '0', offset] = MOMENT.exec(text.trim()) ?? [];
  const [day, minute] = [dayNumber(date), timeOf(time ?? '00:00')];
  if (day === undefined || minute === undefined)
    throw new InputError(
      `needs a date as 2026-11-30, or a time as 2026-11-30T14:00, with +02:00 or Z where it is of another clock, not "${text}"`,
      { code: 'bad_flag', place },
    );
  if (time === undefined) return { at: clock.reached(day * DAY_MS), note: null };
  const wall = day * DAY_MS + minute * MINUTE_MS + Math.round(Number(seconds) * 1000);
  return offset === undefined ? onTheWall(wall, text, clock) : { at: wall - offsetOf(offset), note: null };
}

/** Midnight of a date. @throws InputError `bad_flag` */
export function parseDate(text: string, clock: WallClock, place: string): EpochMillis {
  const day = dayNumber(text);
  if (day !== undefined) return clock.reached(day * DAY_MS);
  throw new InputError(`needs a date as 2026-03-29, not "${text}"`, { code: 'bad_flag', place });
}

export function weekdayText(clock: WallClock, at: EpochMillis): string {
  return WEEKDAYS[weekdayOf(Math.floor(clock.wall(at) / DAY_MS))] ?? '';
}

/** `8 h`, `1 h 30 min`, `45 min`, `90 s`. */
export function lengthText(span: Millis): string {
  if (span % MINUTE_MS !== 0) return `${span / 1000} s`;
  const minutes = span / MINUTE_MS;
  const hours = Math.floor(minutes / 60);
  return [hours > 0 ? `${hours} h` : '', minutes % 60 > 0 || hours === 0 ? `${minutes % 60} min` : '']
    .filter((part) => part !== '')
    .join(' ');
}

const MOMENT = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{1,2}:\d{2})(?::([0-5]\d(?:\.\d{1,3})?))?\s*(Z|[+-]\d{2}:?\d{2})?)?$/;
const WEEKDAYS = ['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];

function onTheWall(wall: number, text: string, clock: WallClock): Moment {
  const [first, second] = clock.instants(wall);
  const on = `on the clock of ${clock.timezone}`;
  if (first === undefined) {
    const at = clock.reached(wall);
    return { at, note: `${text} is skipped ${on}; ${momentText(clock, at)} is taken, where it goes on` };
  }
  if (second === undefined) return { at: first, note: null };
  const times = `${momentText(clock, first)} is taken; the other is ${momentText(clock, second)}`;
  return { at: first, note: `${text} comes twice ${on}; ${times}` };
}

function offsetOf(text: string): Millis {
  const [, sign, hours = '0', minutes = '0'] = /^([+-])(\d{2}):?(\d{2})$/.exec(text) ?? [];
  const size = (Number(hours) * 60 + Number(minutes)) * MINUTE_MS;
  return sign === '-' ? -size : size;
}
