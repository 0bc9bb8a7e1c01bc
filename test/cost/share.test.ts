import { describe, expect, it } from 'vitest';
import { share } from '../../src/cost/share.ts';
import { seeded } from '../support/rng.ts';

describe('sharing a whole amount', () => {
  it('gives the left-over units to the largest remainders, the earlier place first', () => {
    expect(share(10, [1, 1, 1])).toEqual([4, 3, 3]);
    expect(share(11, [1, 1, 1])).toEqual([4, 4, 3]);
    expect(share(10, [1, 2, 3])).toEqual([2, 3, 5]);
    expect(share(7, [5, 5, 90])).toEqual([1, 0, 6]);
  });

  it('gives nothing for no work, and equal shares where nobody did any', () => {
    expect(share(9, [0, 3, 0])).toEqual([0, 9, 0]);
    expect(share(9, [0, 0])).toEqual([5, 4]);
    expect(share(9, [])).toEqual([]);
    expect(share(0, [1, 2])).toEqual([0, 0]);
  });

  it('stays exact where a product of numbers would not', () => {
    expect(share(9_007_199_254_740_991, [9_007_199_254_740_991, 9_007_199_254_740_990])).toEqual([
      4_503_599_627_370_496, 4_503_599_627_370_495,
    ]);
  });

  it('always adds up, and is never a unit or more away from the exact share', () => {
    const random = seeded(11);
    for (let round = 0; round < 2000; round++) {
      const weights = Array.from({ length: 1 + Math.floor(random() * 16) }, () => Math.floor(random() ** 3 * 1e8));
      const total = Math.floor(random() ** 4 * 1e10);
      const shares = share(total, weights);
      expect(shares.reduce((sum, one) => sum + one, 0)).toBe(total);
      const sum = weights.reduce((all, weight) => all + weight, 0);
      if (sum === 0) continue;
      for (const [place, one] of shares.entries()) {
        expect(Number.isInteger(one)).toBe(true);
        expect(Math.abs(one - (total * (weights[place] ?? 0)) / sum)).toBeLessThan(1.001);
      }
    }
  });

  it('gives equal work shares that differ by one unit at most, and more work never less', () => {
    const random = seeded(5);
    for (let round = 0; round < 500; round++) {
      const weights = Array.from({ length: 8 }, () => 1 + Math.floor(random() * 4)).sort((a, b) => b - a);
      const shares = share(Math.floor(random() * 1000), weights);
      for (let place = 1; place < shares.length; place++) {
        const [before, here] = [shares[place - 1] ?? 0, shares[place] ?? 0];
        expect(here - before).toBeLessThanOrEqual(weights[place] === weights[place - 1] ? 0 : 1);
      }
    }
  });
});
