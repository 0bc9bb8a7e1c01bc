import { describe, expect, it } from 'vitest';
import { costSummaryOf } from '../../src/cost/summary.ts';
import { type EntryGroup, totalsOf } from '../../src/cost/totals.ts';

function group(change: Partial<EntryGroup>): EntryGroup {
  return {
    part: 'active',
    currency: 'EUR',
    energyMethod: 'measured',
    costMethod: 'measured',
    entries: 4,
    millijoules: 4000,
    nano: 400n,
    seconds: 8,
    ...change,
  };
}

const UNKNOWN = { energyMethod: 'unknown', costMethod: 'unknown', millijoules: null, nano: null } as const;
const load = group({ part: 'overhead', entries: 1, millijoules: 500, nano: 50n, costMethod: 'assumed' });

describe('the cost of a run', () => {
  it('is that of its pictures and its overhead, told apart', () => {
    const summary = costSummaryOf(totalsOf([group({}), load], 1), 'EUR');
    expect(summary.pictures).toEqual({
      energy: { joules: 4, method: 'measured' },
      cost: { amount: 0.0000004, currency: 'EUR', method: 'measured' },
      costs: [{ amount: 0.0000004, currency: 'EUR', method: 'measured' }],
      unknowns: 0,
    });
    expect(summary.overhead.energy.joules).toBe(0.5);
    expect(summary.total.energy).toEqual({ joules: 4.5, method: 'measured' });
    expect(summary.total.cost).toEqual({ amount: 0.00000045, currency: 'EUR', method: 'assumed' });
  });

  it('is told per picture and per thousand, without the overhead', () => {
    const summary = costSummaryOf(totalsOf([group({}), load], 1), 'EUR');
    expect(summary.perImage).toEqual({
      energy: { joules: 1, method: 'measured' },
      cost: { amount: 0.0000001, currency: 'EUR', method: 'measured' },
    });
    expect(summary.perThousand).toEqual({
      energy: { joules: 1000, method: 'measured' },
      cost: { amount: 0.0001, currency: 'EUR', method: 'measured' },
    });
  });

  it('is nothing, in the currency of the tariff, where nothing was made', () => {
    const summary = costSummaryOf(totalsOf([], 0), 'CHF');
    expect(summary.total).toEqual({
      energy: { joules: 0, method: 'measured' },
      cost: { amount: 0, currency: 'CHF', method: 'measured' },
      costs: [],
      unknowns: 0,
    });
    expect(summary.perImage.cost).toEqual({ amount: null, currency: 'CHF', method: 'unknown' });
    expect(summary.perImage.energy).toEqual({ joules: null, method: 'unknown' });
  });

  it('is unknown, not zero, where all of it is unknown', () => {
    const summary = costSummaryOf(totalsOf([group(UNKNOWN)], 1), 'EUR');
    expect(summary.total.energy).toEqual({ joules: null, method: 'unknown' });
    expect(summary.total.cost).toEqual({ amount: null, currency: 'EUR', method: 'unknown' });
    expect(summary.total.unknowns).toBe(4);
    expect(summary.perImage.cost.amount).toBeNull();
  });

  it('stays unknown in total when only an overhead is known of nothing', () => {
    const summary = costSummaryOf(totalsOf([group({ ...UNKNOWN, part: 'overhead', entries: 1 })], 0), 'EUR');
    expect(summary.total.energy).toEqual({ joules: null, method: 'unknown' });
    expect(summary.overhead.unknowns).toBe(1);
  });

  it('counts what it does not hold, and leaves it out of the mean', () => {
    const summary = costSummaryOf(totalsOf([group({}), group({ ...UNKNOWN, entries: 2 })], 1), 'EUR');
    expect(summary.pictures.unknowns).toBe(2);
    expect(summary.pictures.cost.amount).toBe(0.0000004);
    expect(summary.perImage.cost.amount).toBe(0.0000001);
    expect(summary.perImage.energy).toEqual({ joules: null, method: 'unknown' });
  });

  it('never adds two currencies, but lists both', () => {
    const summary = costSummaryOf(totalsOf([group({}), group({ currency: 'CHF', nano: 7n })], 1), 'EUR');
    expect(summary.total.cost).toEqual({ amount: null, currency: 'EUR', method: 'unknown' });
    expect(summary.total.costs).toEqual([
      { amount: 0.000000007, currency: 'CHF', method: 'measured' },
      { amount: 0.0000004, currency: 'EUR', method: 'measured' },
    ]);
    expect(summary.perImage.cost.amount).toBeNull();
    expect(summary.total.energy.joules).toBe(8);
  });
});
