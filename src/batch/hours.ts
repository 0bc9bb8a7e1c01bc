import { type Hours, isOpen, parseHours } from '../hours.ts';
import type { EpochMillis } from '../units.ts';

/** `22:00-07:00` for all devices, or by device; a device that is not named always works. */
export type HoursSetting = string | Readonly<Record<string, string>>;

/** The minute of the local day, 0 … 1439, at an instant. */
export type LocalTime = (at: EpochMillis) => number;

const DAY = 24 * 60;
const MINUTE_MS = 60_000;
/** A span that lies in the hour that a change of the clock skips begins on the next day only. */
const MOST_MINUTES_AHEAD = 3 * DAY;

/** Why the name of a device cannot be one; undefined for one that can. */
export function deviceNameFault(name: string): string | undefined {
  return DEVICE.test(name) ? undefined : `"${name}" is no device; expected cpu, cuda:0, 0, or the UUID of a card`;
}

/** The hours of one device, or null for one that always works. What names it most closely counts: `cpu:1` before `cpu`. */
export function hoursOf(
  setting: HoursSetting | null,
  device: { readonly id: string; readonly kind: 'cpu' | 'cuda'; readonly uuid: string | null },
): Hours | null {
  if (setting === null) return null;
  if (typeof setting === 'string') return parseHours(setting);
  const names = [device.id, device.uuid, device.id.replace('cuda:', ''), device.kind === 'cpu' ? 'cpu' : null];
  const said = new Map(Object.entries(setting).map(([name, text]) => [name.toLowerCase(), text]));
  const text = names.map((name) => (name === null ? undefined : said.get(name.toLowerCase()))).find(Boolean);
  return text === undefined ? null : parseHours(text);
}

/** Those of all devices, where they are the same; null where they are not, or where there are none. */
export function hoursOfAll(setting: HoursSetting | null): Hours | null {
  return typeof setting === 'string' ? parseHours(setting) : null;
}

/** Names in the setting that none of these devices goes by. */
export function strangersIn(setting: HoursSetting | null, devices: readonly Parameters<typeof hoursOf>[1][]): string[] {
  if (setting === null || typeof setting === 'string') return [];
  return Object.keys(setting).filter((name) => {
    const only = { [name]: setting[name] ?? '' };
    return devices.every((device) => hoursOf(only, device) === null);
  });
}

/**
 * When a device that works begins to rest, or one that rests to work; null where that never comes. It goes by what the
 * clock on the wall says: a night in which the clock is set back has an hour more of them, and an hour that comes
 * twice counts both times.
 */
export function nextChange(hours: Hours, now: EpochMillis, local: LocalTime = localTimeIn()): EpochMillis | null {
  const open = isOpen(hours, local(now));
  return firstMinuteAfter(now, (at) => isOpen(hours, local(at)) !== open);
}

/** When the clock on the wall next comes to this minute, or jumps over it; never `now` itself. */
export function nextLocalTime(minute: number, now: EpochMillis, local: LocalTime = localTimeIn()): EpochMillis | null {
  return firstMinuteAfter(now, (at) => {
    const before = local(at - MINUTE_MS);
    const [gone, wanted] = [forwards(before, local(at)), forwards(before, minute)];
    // Half a day and more is no step forwards, but the clock set back.
    return gone < DAY / 2 ? wanted > 0 && wanted <= gone : local(at) === minute;
  });
}

/** @param zone an IANA name; left out, that of this host */
export function localTimeIn(zone?: string): LocalTime {
  const format = new Intl.DateTimeFormat('en-GB', {
    hour: 'numeric',
    minute: 'numeric',
    hourCycle: 'h23',
    ...(zone === undefined ? {} : { timeZone: zone }),
  });
  return (at) => {
    const [hour, minute] = format.format(at).split(':');
    return Number(hour) * 60 + Number(minute);
  };
}

const DEVICE = /^(?:cpu(?::\d+)?|(?:cuda:)?\d+|gpu-[\da-f-]+)$/i;

/** Offsets of time zones are whole minutes, so that changes fall on whole minutes of any clock. */
function firstMinuteAfter(now: EpochMillis, holds: (at: EpochMillis) => boolean): EpochMillis | null {
  const first = (Math.floor(now / MINUTE_MS) + 1) * MINUTE_MS;
  for (let ahead = 0; ahead < MOST_MINUTES_AHEAD; ahead += 1) {
    const at = first + ahead * MINUTE_MS;
    if (holds(at)) return at;
  }
  return null;
}

function forwards(from: number, to: number): number {
  return (to - from + DAY) % DAY;
}
