import type { EpochMillis, Millis } from '../units.ts';
import { offsetText } from './clock-text.ts';
import { DAY_MS, MINUTE_MS, type WallClock, wallClock } from './local-time.ts';
import { dateOf, dayNumber } from './zone-days.ts';

/** Days and hours as the clock on a wall counts them. */
export interface Calendar {
  readonly timezone: string;
  readonly clock: WallClock;
  /** `2026-11-30` */
  dayOf(at: EpochMillis): string;
  /** `2026-11-30T14:00+01:00`: the offset tells the two hours apart that a change of the clock gives one name. */
  hourOf(at: EpochMillis): string;
  /** `2026-11-30 14:07` */
  minuteOf(at: EpochMillis): string;
  /** When that day begins, also where its midnight is skipped. */
  startOf(day: string): EpochMillis;
}

/** The time that the ledger is summed by: no border of a local day or hour lies inside of it. */
export const QUARTER_MS: Millis = 15 * MINUTE_MS;

/** @param timezone IANA name; null: that of this host */
export function calendarOf(timezone: string | null): Calendar {
  const clock = wallClock(timezone);
  const local = (at: EpochMillis) => new Date(clock.wall(at)).toISOString();
  const startOf = (day: string) => clock.reached(numberOf(day) * DAY_MS);
  return {
    timezone: clock.timezone,
    clock,
    dayOf: (at) => {
      const shown = local(at).slice(0, 10);
      const next = dayAfter(shown);
      // Where the clock is set back over midnight, the old day shows again for a while in the new one.
      return at < startOf(next) ? shown : next;
    },
    hourOf: (at) => `${local(at).slice(0, 13)}:00${offsetText(clock.offset(at))}`,
    minuteOf: (at) => local(at).slice(0, 16).replace('T', ' '),
    startOf,
  };
}

export function dayAfter(day: string): string {
  return dateOf(numberOf(day) + 1);
}

/** The same day of a later month, or its last one where that is shorter. */
export function monthsAfter(day: string, months: number): string {
  const date = new Date(numberOf(day) * DAY_MS);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + months];
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  return dateOf(Date.UTC(year, month, Math.min(date.getUTCDate(), last)) / DAY_MS);
}

function numberOf(day: string): number {
  return dayNumber(day) ?? Number.NaN;
}
