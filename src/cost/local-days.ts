import type { EpochMillis, Millis } from '../units.ts';

/** Days and hours as the clock on a wall counts them. */
export interface Calendar {
  readonly timezone: string;
  /** `2026-11-30` */
  dayOf(at: EpochMillis): string;
  /** `2026-11-30T14:00+01:00`: the offset tells the two hours apart that a change of the clock gives one name. */
  hourOf(at: EpochMillis): string;
  /** `2026-11-30 14:07` */
  minuteOf(at: EpochMillis): string;
  /** When that day begins, also where its midnight is skipped. */
  startOf(day: string): EpochMillis;
  /** When the wall shows that time: the first of two, and after it where it is skipped. @param text `2026-11-30T14:00` */
  timeOf(text: string): EpochMillis;
}

export const QUARTER_MS: Millis = 900_000;
const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 86_400_000;

/** @param timezone IANA name; null: that of this host */
export function calendarOf(timezone: string | null): Calendar {
  const offset = offsetsOf(timezone);
  const local = (at: EpochMillis) => new Date(at + offset(at)).toISOString();
  const dayOf = (at: EpochMillis) => local(at).slice(0, 10);
  const firstAt = (reached: (at: EpochMillis) => boolean, guess: EpochMillis): EpochMillis => {
    let at = guess;
    while (reached(at)) at -= 6 * HOUR_MS;
    while (!reached(at)) at += QUARTER_MS;
    return at;
  };
  return {
    timezone: timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    dayOf,
    hourOf: (at) => `${local(at).slice(0, 13)}:00${signed(offset(at))}`,
    minuteOf: (at) => local(at).slice(0, 16).replace('T', ' '),
    startOf: (day) => firstAt((at) => dayOf(at) >= day, guessOf(Date.parse(`${day}T00:00Z`), offset)),
    timeOf: (text) => {
      const wall = Date.parse(`${text}Z`);
      const rest = wall % QUARTER_MS;
      const quarter = new Date(wall - rest).toISOString().slice(0, 16);
      return firstAt((at) => local(at).slice(0, 16) >= quarter, guessOf(wall - rest, offset)) + rest;
    },
  };
}

export function dayAfter(day: string): string {
  return new Date(Date.parse(`${day}T00:00Z`) + DAY_MS).toISOString().slice(0, 10);
}

/** The same day of a later month, or its last one where that is shorter. */
export function monthsAfter(day: string, months: number): string {
  const date = new Date(`${day}T00:00Z`);
  const month = date.getUTCMonth() + months;
  const last = new Date(Date.UTC(date.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const there = Date.UTC(date.getUTCFullYear(), month, Math.min(date.getUTCDate(), last));
  return new Date(there).toISOString().slice(0, 10);
}

/** Some hours before a moment whose wall time is known. */
function guessOf(wall: number, offset: (at: EpochMillis) => Millis): EpochMillis {
  return wall - offset(wall) - 3 * HOUR_MS;
}

/** What a clock is ahead of UTC, a quarter of an hour at a time: no zone changes in between, and asking is slow. */
function offsetsOf(timezone: string | null): (at: EpochMillis) => Millis {
  const format = new Intl.DateTimeFormat('sv-SE', {
    ...(timezone !== null && { timeZone: timezone }),
    dateStyle: 'short',
    timeStyle: 'medium',
  });
  const known = new Map<number, Millis>();
  return (at) => {
    const quarter = at - (((at % QUARTER_MS) + QUARTER_MS) % QUARTER_MS);
    const found = known.get(quarter);
    if (found !== undefined) return found;
    const offset = Date.parse(`${format.format(quarter).replace(' ', 'T')}Z`) - quarter;
    known.set(quarter, offset);
    return offset;
  };
}

function signed(offset: Millis): string {
  const minutes = Math.abs(offset) / 60_000;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  return `${offset < 0 ? '-' : '+'}${two(minutes / 60)}:${two(minutes % 60)}`;
}
