import { expect, it } from 'vitest';
import { localTimeIn } from '../../src/batch/hours.ts';
import { Timetable } from '../../src/batch/timetable.ts';
import { parseHours } from '../../src/hours.ts';

const at = (time: string) => Date.parse(`2026-06-01T${time}:00Z`);
const HOUR = 3_600_000;

it('says how long a device rests, and lets it work in its hours', () => {
  const night = new Timetable(parseHours('22:00-07:00'), localTimeIn('UTC'));
  expect(night.restsFor(at('06:59'))).toBe(0);
  expect(night.restsFor(at('07:00'))).toBe(15 * HOUR);
  expect(night.restsFor(at('21:30'))).toBe(HOUR / 2);
  expect(night.restsFor(at('22:00'))).toBe(0);
});

it('never rests where there are no hours', () => {
  expect(new Timetable(null).restsFor(at('12:00'))).toBe(0);
});

it('looks again when the clock was set back', () => {
  const night = new Timetable(parseHours('22:00-07:00'), localTimeIn('UTC'));
  expect(night.restsFor(at('12:00') + 72 * HOUR)).toBe(10 * HOUR);
  expect(night.restsFor(at('23:00'))).toBe(0);
});

it('looks for the next change once, and not at every question', () => {
  let asked = 0;
  const utc = localTimeIn('UTC');
  const counting = new Timetable(parseHours('22:00-07:00'), (time) => {
    asked += 1;
    return utc(time);
  });
  counting.restsFor(at('12:00'));
  const before = asked;
  for (let minute = 0; minute < 9; minute += 1) counting.restsFor(at(`12:0${minute}`));
  expect(asked).toBe(before);
});
