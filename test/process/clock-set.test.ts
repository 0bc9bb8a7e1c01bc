import { expect, it } from 'vitest';
import { ClockSet } from '../../src/process/clock-set.ts';
import { ManualClock } from '../support/manual-clock.ts';

it('notices that the time of day was set back, until that is heeded', () => {
  const clock = new ManualClock();
  const set = new ClockSet(clock);
  clock.advance(3_600_000);
  expect(set.wasSetBack).toBe(false);
  clock.set(-60_000);
  expect([set.wasSetBack, set.wasSetBack]).toEqual([true, true]);
  set.heeded();
  expect(set.wasSetBack).toBe(false);
});

it('takes a correction, a sleep of the host, and a clock that is set forward for none', () => {
  const clock = new ManualClock();
  const set = new ClockSet(clock);
  for (const by of [-1_000, 8 * 3_600_000, 60_000]) {
    clock.set(by);
    expect(set.wasSetBack).toBe(false);
  }
  clock.set(-60_000);
  expect(set.wasSetBack).toBe(true);
});
