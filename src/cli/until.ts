import { type LocalTime, nextLocalTime } from '../batch/hours.ts';
import { InputError } from '../errors.ts';
import { timeOf } from '../hours.ts';
import type { EpochMillis, Millis } from '../units.ts';

/**
 * How long `--for` says: `2h`, `90m`, `1h30m`.
 * @throws InputError `bad_flag`
 */
export function parseFor(text: string, place = '--for'): Millis {
  const [, hours, minutes] = /^(?:(\d+)\s*h)?\s*(?:(\d+)\s*m(?:in)?)?$/i.exec(text.trim()) ?? [];
  const span = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * MINUTE_MS;
  if (span > MOST_MS) throw refused(`${text} is more than a week; without ${place} it lasts until "resume"`, place);
  if (span === 0) throw refused(`needs a time span as 2h, 90m or 1h30m, not "${text}"`, place);
  return span;
}

/**
 * How long a look at the meters is: `30s`, `5m`, `1h30m`.
 * @throws InputError `bad_flag`
 */
export function parseSpan(text: string, place = '--for'): Millis {
  const [, hours, minutes, seconds] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/i.exec(text.replaceAll(/\s/g, '')) ?? [];
  const span = ((Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60 + Number(seconds ?? 0)) * 1000;
  if (span > MOST_MS) throw refused(`${text} is more than a week; without ${place} it lasts until Ctrl-C`, place);
  if (span === 0) throw refused(`needs a time span as 30s, 5m or 1h30m, not "${text}"`, place);
  return span;
}

/**
 * The next time that the clock on the wall shows what `--until` says, today or tomorrow: `07:00`.
 * @throws InputError `bad_flag`
 */
export function parseUntil(text: string, now: EpochMillis, local?: LocalTime, place = '--until'): EpochMillis {
  const minute = timeOf(text);
  const then = minute === undefined ? null : nextLocalTime(minute % DAY_MINUTES, now, local);
  if (then === null) throw refused(`needs a time of day as 07:00, not "${text}"`, place);
  return then;
}

const MINUTE_MS: Millis = 60_000;
const DAY_MINUTES = 24 * 60;
const MOST_MS: Millis = 7 * DAY_MINUTES * MINUTE_MS;

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_flag', place });
}
