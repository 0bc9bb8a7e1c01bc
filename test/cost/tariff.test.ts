import { describe, expect, it } from 'vitest';
import { dividedBy, priceOf } from '../../src/cost/tariff.ts';
import { flatTariff } from './terms.ts';

const HOUR = { from: 1_780_000_000_000, to: 1_780_003_600_000 };
const ASSUMED = flatTariff(0.3, { assumed: true });

describe('a flat tariff', () => {
  it('names its price so that an old receipt explains itself', () => {
    expect(flatTariff(0.2784, { currency: 'USD' })).toMatchObject({
      id: 'flat:0.2784:USD:config',
      currency: 'USD',
      method: 'measured',
    });
  });

  it('is an assumption, and says so, until the user sets one', () => {
    expect(ASSUMED).toMatchObject({
      id: 'flat:0.3:EUR:default',
      currency: 'EUR',
      method: 'assumed',
    });
  });

  it('prices a kilowatt-hour at its price, and less in proportion', () => {
    expect(priceOf(3_600_000_000, ASSUMED, HOUR)).toEqual({ nano: 300_000_000n, currency: 'EUR' });
    expect(priceOf(36_000, ASSUMED, HOUR).nano).toBe(3000n);
    expect(priceOf(0, ASSUMED, HOUR).nano).toBe(0n);
  });

  it('stays exact for a year of a large card', () => {
    expect(priceOf(450 * 31_536_000 * 1000, ASSUMED, HOUR).nano).toBe(1_182_600_000_000n);
  });

  it('rounds to the nearest nano-unit, a credit as a charge', () => {
    expect([6, 5, 4, -4, -5, -6].map((amount) => dividedBy(BigInt(amount), 10n))).toEqual([1n, 1n, 0n, 0n, -1n, -1n]);
    expect(priceOf(6, ASSUMED, HOUR).nano).toBe(1n);
    expect(priceOf(5, ASSUMED, HOUR).nano).toBe(0n);
    const negative = flatTariff(-0.3);
    expect(priceOf(6, negative, HOUR).nano).toBe(-1n);
  });
});
