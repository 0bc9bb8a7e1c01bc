import { describe, expect, it } from 'vitest';
import { decimalOf, nanoOf, weakest } from '../src/units.ts';

describe('money', () => {
  it.each([
    [0n, 0],
    [1n, 0.000000001],
    [-1n, -0.000000001],
    [12458n, 0.000012458],
    [300_000_000n, 0.3],
    [-1_250_000_000n, -1.25],
    [9_007_199_254_740_991n, 9_007_199.254740991],
  ])('writes %d nano-units as %d and reads them back', (nano, amount) => {
    expect(decimalOf(nano)).toBe(amount);
    expect(nanoOf(amount)).toBe(nano);
  });

  it('survives the way through a decimal for any amount up to two million, to the last nano-unit', () => {
    for (let nano = 1n; nano < 2_000_000_000_000_000n; nano = nano * 3n + 1n) {
      expect(nanoOf(decimalOf(nano))).toBe(nano);
      expect(nanoOf(decimalOf(-nano))).toBe(-nano);
    }
  });

  it('rounds what is finer than a nano-unit to the nearest one', () => {
    expect(nanoOf(0.0000000014)).toBe(1n);
    expect(nanoOf(0.0000000016)).toBe(2n);
    expect(nanoOf(0.1 + 0.2)).toBe(300_000_000n);
  });
});

describe('the method of a sum', () => {
  it('is the weakest of its parts', () => {
    expect(weakest(['measured', 'derived', 'measured'])).toBe('derived');
    expect(weakest(['assumed', 'derived'])).toBe('assumed');
    expect(weakest(['measured', 'unknown', 'assumed'])).toBe('unknown');
  });

  it('is measured for a sum of nothing', () => {
    expect(weakest([])).toBe('measured');
  });
});
