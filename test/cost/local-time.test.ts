import { describe, expect, it } from 'vitest';
import { timezoneFault, wallClock } from '../../src/cost/local-time.ts';

const HOUR = 3_600_000;
const iso = (at: number) => new Date(at).toISOString();
/** A time of the wall is written as if it were of UTC. */
const wall = (text: string) => Date.parse(`${text}Z`);

describe('the clock on the wall', () => {
  it('is that of UTC, and says so, where the TZ of the environment is no time zone', () => {
    const before = process.env.TZ;
    try {
      process.env.TZ = 'Nope/Nope';
      const here = wallClock(null);
      expect([here.timezone, here.offset(Date.parse('2026-06-01T12:00Z'))]).toEqual(['UTC', 0]);
    } finally {
      if (before === undefined) delete process.env.TZ;
      else process.env.TZ = before;
    }
  });

  const berlin = wallClock('Europe/Berlin');

  it('shows a time once, never, or twice', () => {
    expect(berlin.instants(wall('2026-06-01T12:00')).map(iso)).toEqual(['2026-06-01T10:00:00.000Z']);
    expect(berlin.instants(wall('2026-03-29T02:30'))).toEqual([]);
    expect(berlin.instants(wall('2026-10-25T02:30')).map(iso)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-25T01:30:00.000Z',
    ]);
  });

  it('reaches a time that it skips where it goes on', () => {
    expect(iso(berlin.reached(wall('2026-03-29T02:30')))).toBe('2026-03-29T01:00:00.000Z');
    expect(iso(berlin.reached(wall('2026-10-25T02:30')))).toBe('2026-10-25T00:30:00.000Z');
  });

  it.each([
    ['Europe/Berlin', '2026-03-29T12:00Z', 23],
    ['Europe/Berlin', '2026-10-25T12:00Z', 25],
    ['Australia/Lord_Howe', '2026-10-04T02:00Z', 23.5],
    ['America/Santiago', '2026-09-06T12:00Z', 23],
    ['America/Santiago', '2026-04-04T12:00Z', 25],
    ['Asia/Kathmandu', '2026-03-29T12:00Z', 24],
  ])('of %s has at %s a day of %d hours', (timezone, at, hours) => {
    const day = wallClock(timezone).day(Date.parse(at));
    expect((day.to - day.from) / HOUR).toBe(hours);
  });

  it('leaves out the day that Samoa left out', () => {
    const apia = wallClock('Pacific/Apia');
    const before = apia.day(Date.parse('2011-12-30T09:59Z'));
    expect([iso(before.to), iso(apia.reached(wall('2011-12-30T00:00')))]).toEqual(
      Array(2).fill('2011-12-30T10:00:00.000Z'),
    );
    expect(apia.instants(wall('2011-12-30T12:00'))).toEqual([]);
    expect(apia.day(before.to).from).toBe(before.to);
  });

  it('is set back over midnight in Newfoundland, and its days do not overlap', () => {
    const stJohns = wallClock('America/St_Johns');
    // At 00:01 on the 7th of November 2010 it became 23:01 of the 6th again.
    const midnight = Date.parse('2010-11-07T02:30Z');
    expect(iso(stJohns.wall(midnight + 60_000))).toBe('2010-11-06T23:01:00.000Z');
    expect(stJohns.day(midnight - 1).to).toBe(midnight);
    expect(stJohns.day(midnight + 30 * 60_000).from).toBe(midnight);
  });

  it('is that of this host where no time zone is named', () => {
    const here = wallClock(null);
    const at = new Date(2026, 5, 1, 13, 45);
    expect(iso(here.wall(at.getTime()))).toBe('2026-06-01T13:45:00.000Z');
    expect(timezoneFault(here.timezone)).toBeUndefined();
  });
});

it('a mistyped time zone is refused with the one that was meant', () => {
  expect(timezoneFault('Europe/Berlin')).toBeUndefined();
  expect(timezoneFault('Europe/Berln')).toContain('did you mean Europe/Berlin?');
});
