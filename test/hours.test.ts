import { describe, expect, it } from 'vitest';
import { hoursFault, isOpen, parseHours, timeOf } from '../src/hours.ts';

const minute = (text: string) => timeOf(text) ?? Number.NaN;

describe('the text of hours', () => {
  it('is one span, or several between commas', () => {
    expect(parseHours('22:00-07:00')).toEqual([{ from: 1320, to: 420 }]);
    expect(parseHours(' 7:30 – 9:00 , 22:00-24:00')).toEqual([
      { from: 450, to: 540 },
      { from: 1320, to: 1440 },
    ]);
  });

  it.each(['22:00-07:00', '00:00-24:00', '0:00-6:00,12:00-13:30'])('may be %s', (text) => {
    expect(hoursFault(text)).toBeUndefined();
  });

  it.each([
    '',
    '22-7',
    '22:00',
    '22:00-07:60',
    '25:00-07:00',
    '24:00-07:00',
    '22:00-07:00,',
    'nightly',
    '1:00-2:00-3:00',
  ])('cannot be "%s", and what is expected is said', (text) => {
    expect(hoursFault(text)).toBe('expected 22:00-07:00, or several: 12:00-13:30,22:00-07:00');
  });

  it('says how the whole day is written to whom ends where he begins', () => {
    expect(hoursFault('07:00-7:00')).toBe('07:00-7:00 ends as it begins; the whole day is 00:00-24:00');
  });
});

describe('hours', () => {
  it.each([
    ['22:00', true],
    ['23:59', true],
    ['00:00', true],
    ['06:59', true],
    ['07:00', false],
    ['21:59', false],
  ])('over midnight are open at %s: %s', (time, open) => {
    expect(isOpen(parseHours('22:00-07:00'), minute(time))).toBe(open);
  });

  it('of several spans are open in each of them', () => {
    const hours = parseHours('12:00-13:00,12:30-14:00');
    expect(['11:59', '12:45', '13:30', '14:00'].map((time) => isOpen(hours, minute(time)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });
});
