import type { EpochMillis, Millis } from '../units.ts';
import { DAY_MS, MINUTE_MS, type WallClock } from './local-time.ts';
import { dateOf } from './zone-days.ts';

/** What is needed of a clock to write down what it shows. */
type Shown = Pick<WallClock, 'wall' | 'offset'>;

/** `2026-03-29T14:30+02:00`; seconds where there are some. */
export function momentText(clock: Shown, at: EpochMillis): string {
  return `${dateText(clock, at)}T${clockText(clock, at)}${offsetText(clock.offset(at))}`;
}

/** `14:30+02:00` on a day on which the clock is set, else `14:30`. */
export function timeText(clock: Shown, at: EpochMillis, withOffset: boolean): string {
  return `${clockText(clock, at)}${withOffset ? offsetText(clock.offset(at)) : ''}`;
}

export function dateText(clock: Shown, at: EpochMillis): string {
  return dateOf(Math.floor(clock.wall(at) / DAY_MS));
}

/** `+02:00` */
export function offsetText(offset: Millis): string {
  const minutes = Math.abs(offset) / MINUTE_MS;
  return `${offset < 0 ? '-' : '+'}${twoDigits(minutes / 60)}:${twoDigits(minutes % 60)}`;
}

function clockText(clock: Shown, at: EpochMillis): string {
  const text = new Date(clock.wall(at)).toISOString();
  return at % MINUTE_MS === 0 ? text.slice(11, 16) : text.slice(11, 19);
}

function twoDigits(value: number): string {
  return String(Math.floor(value)).padStart(2, '0');
}
