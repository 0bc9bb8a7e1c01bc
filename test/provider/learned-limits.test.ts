import { describe, expect, it } from 'vitest';
import type { LearnedLimit } from '../../src/ports.ts';
import { LearnedLimits } from '../../src/provider/learned-limits.ts';
import { ManualClock } from '../support/manual-clock.ts';

const DAY = 24 * 60 * 60_000;
const PLACE = { device: 'GPU-1', model: 'm', shape: '64x64' };

describe('a limit that was learned', () => {
  it('of 0 is tried again a day later: the game that held the memory is over by then', () => {
    const { limits, clock, limitOf } = learning();
    limits.ranOut(PLACE, 'auto', 1);
    clock.advance(DAY - 1);
    expect(limitOf()).toBe(0);
    clock.advance(1);
    expect(limitOf()).toBeUndefined();
  });

  it('of smaller batches is tried again a month later', () => {
    const { limits, clock, limitOf } = learning();
    limits.ranOut(PLACE, 'auto', 4);
    clock.advance(30 * DAY - 1);
    expect(limitOf()).toBe(2);
    clock.advance(1);
    expect(limitOf()).toBeUndefined();
  });

  it('anew after that is news again, also where it is higher than the one before, and nothing of the old is said', () => {
    const { limits, clock, limitOf, told } = learning();
    limits.ranOut(PLACE, 'auto', 1);
    clock.advance(DAY);
    limits.ranOut(PLACE, 'auto', 4);
    expect(limitOf()).toBe(2);
    expect(limits.of(PLACE).get('auto')?.tried).toEqual([4]);
    expect(told).toMatchObject([{ limit: 0 }, { limit: 2, at: clock.now() }]);
  });

  it('goes down while it is believed, and its time begins with each step down', () => {
    const { limits, clock, limitOf, told } = learning();
    limits.ranOut(PLACE, 'auto', 4);
    clock.advance(20 * DAY);
    limits.ranOut(PLACE, 'auto', 2);
    limits.ranOut(PLACE, 'auto', 4);
    clock.advance(20 * DAY);
    expect([limitOf(), told.length]).toEqual([1, 2]);
  });

  it('is believed after a restart for as long as if there had been none', () => {
    const at = new ManualClock().now();
    const { clock, limitOf } = learning([{ ...PLACE, engine: 'auto', limit: 0, at: at - DAY + 1_000 }]);
    expect(limitOf()).toBe(0);
    clock.advance(1_000);
    expect(limitOf()).toBeUndefined();
  });

  it('by a clock that was far ahead is not believed for years', () => {
    const at = new ManualClock().now();
    expect(learning([{ ...PLACE, engine: 'auto', limit: 2, at: at + 1_000 * DAY }]).limitOf()).toBeUndefined();
    expect(learning([{ ...PLACE, engine: 'auto', limit: 2, at: at + 1_000 }]).limitOf()).toBe(2);
  });
});

function learning(known: readonly LearnedLimit[] = []) {
  const clock = new ManualClock();
  const told: LearnedLimit[] = [];
  const limits = new LearnedLimits({ known, learn: (limit) => void told.push(limit) }, clock);
  return { clock, limits, told, limitOf: () => limits.of(PLACE).get('auto')?.limit };
}
