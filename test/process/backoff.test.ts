import { describe, expect, it } from 'vitest';
import { backoffDelay, Restarts } from '../../src/process/backoff.ts';
import { ManualClock } from '../support/manual-clock.ts';

describe('the delay before another try', () => {
  it('doubles from one second up to a minute, and is nothing for the first try', () => {
    const delays = [0, 1, 2, 3, 6, 7, 40].map((attempt) => backoffDelay(attempt, () => 0));
    expect(delays).toEqual([0, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
  });

  it('is shortened by chance, at most by its quarter', () => {
    expect(backoffDelay(1, () => 0.5)).toBe(875);
    expect(backoffDelay(1, () => 0.999_999)).toBe(750);
  });
});

describe('restarts', () => {
  it('wait longer after each failure in a row, counted from the failure', () => {
    const clock = new ManualClock();
    const restarts = new Restarts(clock, () => 0);
    expect(restarts.remaining()).toBe(0);
    restarts.failed();
    expect(restarts.remaining()).toBe(1_000);
    clock.advance(700);
    expect(restarts.remaining()).toBe(300);
    restarts.failed();
    expect(restarts.remaining()).toBe(2_000);
    clock.advance(5_000);
    expect(restarts.remaining()).toBe(0);
  });

  it('begin at one second again after a success', () => {
    const restarts = new Restarts(new ManualClock(), () => 0);
    for (let death = 0; death < 5; death += 1) restarts.failed();
    restarts.succeeded();
    restarts.failed();
    expect(restarts.remaining()).toBe(1_000);
  });
});
