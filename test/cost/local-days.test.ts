import { describe, expect, it } from 'vitest';
import { calendarOf, dayAfter, monthsAfter } from '../../src/cost/local-days.ts';

const at = (text: string) => Date.parse(text);

describe('a calendar', () => {
  it.each([
    ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00Z', 23],
    ['Europe/Berlin', '2026-10-25', '2026-10-24T22:00Z', 25],
    ['America/St_Johns', '2026-11-01', '2026-11-01T02:30Z', 25],
    ['Asia/Kathmandu', '2026-06-01', '2026-05-31T18:15Z', 24],
    ['Australia/Lord_Howe', '2026-04-05', '2026-04-04T13:00Z', 24.5],
    ['Pacific/Auckland', '2026-09-27', '2026-09-26T12:00Z', 23],
  ])('of %s begins %s at %s, and gives it %d hours', (zone, day, begin, hours) => {
    const calendar = calendarOf(zone);
    expect(calendar.startOf(day)).toBe(at(begin));
    expect(calendar.startOf(dayAfter(day)) - calendar.startOf(day)).toBe(hours * 3_600_000);
    expect(calendar.dayOf(at(begin))).toBe(day);
    expect(calendar.dayOf(at(begin) - 1)).not.toBe(day);
  });

  it('begins a day whose midnight is skipped with the first moment that there is', () => {
    const calendar = calendarOf('Africa/Cairo');
    expect(calendar.startOf('2026-04-24')).toBe(at('2026-04-23T22:00Z'));
    expect(calendar.hourOf(at('2026-04-23T22:00Z'))).toBe('2026-04-24T01:00+03:00');
  });

  it('goes on with the new day where the clock is set back over midnight', () => {
    const { dayOf, startOf } = calendarOf('America/St_Johns');
    // At 00:01 on the 7th of November 2010 it became 23:01 of the 6th again.
    const midnight = at('2010-11-07T02:30Z');
    expect(startOf('2010-11-07')).toBe(midnight);
    expect([midnight - 1, midnight, midnight + 30 * 60_000].map(dayOf)).toEqual([
      '2010-11-06',
      '2010-11-07',
      '2010-11-07',
    ]);
  });

  it('has no day where Samoa left one out', () => {
    const { dayOf, startOf } = calendarOf('Pacific/Apia');
    expect(startOf('2011-12-30')).toBe(startOf('2011-12-31'));
    expect(dayOf(startOf('2011-12-30'))).toBe('2011-12-31');
  });

  it('tells the two hours of one name apart', () => {
    const { hourOf } = calendarOf('Europe/Berlin');
    expect([hourOf(at('2026-10-25T00:30Z')), hourOf(at('2026-10-25T01:30Z'))]).toEqual([
      '2026-10-25T02:00+02:00',
      '2026-10-25T02:00+01:00',
    ]);
  });

  it('has minutes of its own, in zones of half an hour too', () => {
    expect(calendarOf('Asia/Kolkata').minuteOf(at('2026-11-30T20:07:59Z'))).toBe('2026-12-01 01:37');
  });
});

describe('months', () => {
  it('end with their last day where they are shorter', () => {
    expect(['2026-01-31', '2026-11-30', '2028-01-31'].map((day) => monthsAfter(day, 1))).toEqual([
      '2026-02-28',
      '2026-12-30',
      '2028-02-29',
    ]);
    expect(monthsAfter('2026-03-01', 36)).toBe('2029-03-01');
  });
});
