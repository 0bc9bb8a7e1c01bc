import { describe, expect, it } from 'vitest';
import { decimalText, nanoIn, productOf } from '../../src/cost/decimal.ts';
import { seeded } from '../support/rng.ts';

describe('a decimal', () => {
  it.each([
    ['0.003', 3_000_000n],
    ['12', 12_000_000_000n],
    ['-0.000000001', -1n],
    ['1.10000000000', 1_100_000_000n],
    ['007.5', 7_500_000_000n],
  ])('%s is read to the billionth', (text, nano) => {
    expect(nanoIn(text, 'here')).toBe(nano);
  });

  it.each(['', 'ten', '1,5', '1e3', '0x10', 'Infinity', '.5', '1.2.3'])('"%s" is none', (text) => {
    expect(() => nanoIn(text, 'here')).toThrow('here: needs a plain decimal number');
  });

  it('comes back as it was written', () => {
    const rng = seeded(3);
    for (let tries = 0; tries < 500; tries += 1) {
      const nano = BigInt(Math.round((rng() - 0.5) * 1e15));
      expect(nanoIn(decimalText(nano), 'here')).toBe(nano);
    }
  });

  it('times another is rounded once, halves away from zero', () => {
    expect(productOf(nanoIn('0.5', ''), nanoIn('0.000000001', ''), '')).toBe(1n);
    expect(productOf(nanoIn('-0.5', ''), nanoIn('0.000000001', ''), '')).toBe(-1n);
    expect(productOf(nanoIn('3', ''), nanoIn('0.1', ''), '')).toBe(300_000_000n);
  });
});
