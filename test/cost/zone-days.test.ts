import { describe, expect, it } from 'vitest';
import { dateFault, daysFault, monthsFault, parseDays, parseMonths } from '../../src/cost/zone-days.ts';

describe('the days of a zone', () => {
  it('are names, ranges that may go around the week, and holidays', () => {
    expect([...parseDays('mon-fri')]).toEqual([0, 1, 2, 3, 4]);
    expect([...parseDays('Fri - Mon, holiday')]).toEqual([4, 5, 6, 0, 'holiday']);
    expect([...parseDays('sat,sun')]).toEqual([5, 6]);
  });

  it.each(['', 'monday', 'mon-', 'mon-fri-sun', 'mon;tue', 'holiday-mon', 'mon,', '1-5'])('cannot be "%s"', (text) => {
    expect(daysFault(text)).toBe('expected days as mon-fri, sat,sun or sun,holiday');
  });

  it.each(['mon', 'mon-fri,holiday', 'sun-sat'])('may be %s', (text) => {
    expect(daysFault(text)).toBeUndefined();
  });
});

describe('the months of a zone', () => {
  it('are names, and ranges that may go around the year', () => {
    expect([...parseMonths('oct-mar')]).toEqual([9, 10, 11, 0, 1, 2]);
    expect([...parseMonths('jun,aug')]).toEqual([5, 7]);
  });

  it.each(['', 'october', 'oct-', '10-3', 'okt-mar'])('cannot be "%s"', (text) => {
    expect(monthsFault(text)).toBe('expected months as oct-mar or jun,jul,aug');
  });
});

it('a date is one that the calendar has', () => {
  expect(['2026-12-25', '2028-02-29'].map(dateFault)).toEqual([undefined, undefined]);
  expect(['2026-02-29', '2026-13-01', '25.12.2026', '2026-1-1'].map(dateFault)).toEqual(
    Array(4).fill('expected a date, as 2026-12-24'),
  );
});
