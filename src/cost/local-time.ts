import { suggestion } from '../job/nearest.ts';
import type { EpochMillis, Millis } from '../units.ts';

/**
 * What the clock on the wall of a time zone shows. Local time is a number too: the milliseconds that UTC would have
 * counted when its own clocks showed the same date and time.
 */
export interface WallClock {
  /** IANA name. */
  readonly timezone: string;
  /** Local time less UTC. */
  offset(at: EpochMillis): Millis;
  wall(at: EpochMillis): WallTime;
  /** All instants at which the clock shows this: none where it is skipped, two where the clock is set back over it. */
  instants(wall: WallTime): readonly EpochMillis[];
  /** The first instant at which the clock shows this or more: after a skipped hour where it lies in one. */
  reached(wall: WallTime): EpochMillis;
  /** The local day around an instant: from when its midnight is reached until that of the next one is. */
  day(at: EpochMillis): { readonly from: EpochMillis; readonly to: EpochMillis };
  /** A UTC day, the n-th since 1970, cut where the clock is set. */
  stretches(utcDay: number): readonly Even[];
}

export type WallTime = number & { readonly wall?: 'local ms' };

/** A part of time in which the offset stays the same. */
export interface Even {
  readonly from: EpochMillis;
  /** Not included. */
  readonly to: EpochMillis;
  readonly offset: Millis;
}

export const DAY_MS: Millis = 86_400_000;
export const MINUTE_MS: Millis = 60_000;

/** @param timezone one that {@link timezoneFault} finds nothing in; null for that of this host */
export function wallClock(timezone: string | null): WallClock {
  const read = offsetReader(timezone);
  const stretches = remembered((day) => evenParts(read, day * DAY_MS, (day + 1) * DAY_MS));
  const around = (wall: WallTime): readonly Even[] => {
    // No offset reaches a whole day, so a time of the wall lies in the same UTC day, or beside it.
    const day = Math.floor(wall / DAY_MS);
    return [day - 1, day, day + 1].flatMap(stretches);
  };
  const offset = (at: EpochMillis): Millis =>
    stretches(Math.floor(at / DAY_MS)).find(({ from, to }) => from <= at && at < to)?.offset ?? read(at);
  const wall = (at: EpochMillis): WallTime => at + offset(at);
  const reached = (wanted: WallTime): EpochMillis => {
    const found = around(wanted).map(({ from, to, offset }) => ({ at: Math.max(from, wanted - offset), to }));
    return Math.min(...found.filter(({ at, to }) => at < to).map(({ at }) => at));
  };
  return {
    timezone: read.timezone,
    offset,
    wall,
    instants: (wanted) => {
      const places = around(wanted).map(({ from, to, offset }) => ({ from, to, at: wanted - offset }));
      return places.filter(({ from, to, at }) => from <= at && at < to).map(({ at }) => at);
    },
    reached,
    day: (at) => {
      // Where the clock is set back over midnight, the old day shows again for a while in the new one.
      const shown = Math.floor(wall(at) / DAY_MS);
      const next = reached((shown + 1) * DAY_MS);
      const first = at < next ? shown : shown + 1;
      return { from: reached(first * DAY_MS), to: first === shown ? next : reached((first + 1) * DAY_MS) };
    },
    stretches,
  };
}

/** Why a text is no time zone; undefined for one that is. */
export function timezoneFault(text: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: text });
    return undefined;
  } catch {
    const meant = suggestion(text, Intl.supportedValuesOf('timeZone'));
    return `expected the name of a time zone, as Europe/Berlin or America/New_York${meant}`;
  }
}

/** Days that are kept: more than a year, so that a report over one finds them again. */
const MOST_DAYS = 1000;

/** By the number of a day, as long as there are not too many. */
export function remembered<Found>(find: (day: number) => Found): (day: number) => Found {
  const known = new Map<number, Found>();
  return (day) => {
    const found = known.get(day);
    if (found !== undefined) return found;
    if (known.size >= MOST_DAYS) known.clear();
    const fresh = find(day);
    known.set(day, fresh);
    return fresh;
  };
}

interface OffsetReader {
  (at: EpochMillis): Millis;
  readonly timezone: string;
}

/** Asks the tables of the runtime, which is slow: some microseconds. */
function offsetReader(timezone: string | null): OffsetReader {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZoneName: 'longOffset',
    ...(timezone === null ? {} : { timeZone: timezone }),
  });
  const read = (at: EpochMillis): Millis => {
    const [, sign, hours = 0, minutes = 0, seconds = 0] = OFFSET.exec(format.format(at)) ?? [];
    const size = (Number(hours) * 60 + Number(minutes)) * MINUTE_MS + Number(seconds) * 1000;
    return sign === '-' ? -size : size;
  };
  // The runtime goes by UTC, and names no zone, where the TZ of the environment is none.
  const named: string | undefined = format.resolvedOptions().timeZone;
  return Object.assign(read, { timezone: named ?? 'UTC' });
}

const OFFSET = /GMT(?:([+\-−])(\d{2}):(\d{2})(?::(\d{2}))?)?$/;

/**
 * No zone has ever set its clock twice within a day and ended where it began; clocks are set on whole minutes of UTC.
 */
function evenParts(read: OffsetReader, from: EpochMillis, to: EpochMillis): readonly Even[] {
  const parts: Even[] = [];
  for (let begin = from; begin < to; ) {
    const offset = read(begin);
    const end = read(to) === offset ? to : firstMinuteAfter(begin, to, (at) => read(at) !== offset);
    parts.push({ from: begin, to: end, offset });
    begin = end;
  }
  return parts;
}

/** Of a question that is answered no at the one end and yes at the other. */
function firstMinuteAfter(no: EpochMillis, yes: EpochMillis, answer: (at: EpochMillis) => boolean): EpochMillis {
  let [low, high] = [no, yes];
  while (high - low > MINUTE_MS) {
    const middle = low + Math.floor((high - low) / 2 / MINUTE_MS) * MINUTE_MS;
    if (answer(middle)) high = middle;
    else low = middle;
  }
  return high;
}
