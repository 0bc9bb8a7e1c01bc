/** A part of the day in local time, in minutes since midnight: from `from` up to, not including, `to`. Over midnight where `to` is the smaller. */
export interface DaySpan {
  readonly from: number;
  readonly to: number;
}

/** Hours of the day. Spans may overlap; the hours are open while any of them holds. */
export type Hours = readonly DaySpan[];

const DAY = 24 * 60;

/** @param text one that {@link hoursFault} finds nothing in */
export function parseHours(text: string): Hours {
  return text.split(',').flatMap((part) => spanOf(part) ?? []);
}

/** Why a text cannot be hours; undefined for one that can. */
export function hoursFault(text: string): string | undefined {
  const wrong = text.split(',').find((part) => spanOf(part) === undefined);
  if (wrong === undefined) return undefined;
  const same = SPAN.exec(wrong);
  if (same !== null && timeOf(same[1]) !== undefined && timeOf(same[1]) === timeOf(same[2]))
    return `${wrong.trim()} ends as it begins; the whole day is 00:00-24:00`;
  return `expected ${HOURS_FORM}`;
}

/** @param minute of the local day */
export function isOpen(hours: Hours, minute: number): boolean {
  return hours.some(({ from, to }) => (from < to ? from <= minute && minute < to : from <= minute || minute < to));
}

/** The minute of the day that `7:00` or `07:00` means; undefined for what is no time of day. `24:00` is one, the end of it. */
export function timeOf(text: string | undefined): number | undefined {
  const [, hour, minute] = /^\s*(\d{1,2}):(\d{2})\s*$/.exec(text ?? '') ?? [];
  const time = Number(hour) * 60 + Number(minute);
  return Number(minute) < 60 && time <= DAY ? time : undefined;
}

const SPAN = /^([^-–]+)[-–]([^-–]+)$/;
const HOURS_FORM = '22:00-07:00, or several: 12:00-13:30,22:00-07:00';

function spanOf(part: string): DaySpan | undefined {
  const span = SPAN.exec(part);
  const [from, to] = [timeOf(span?.[1]), timeOf(span?.[2])];
  if (from === undefined || to === undefined || from === DAY || from === to) return undefined;
  return { from, to };
}
