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
      energy: { joules: 4, method: 'measured', unknowns: 0 },
      cost: { amount: 0.0000004, currency: 'EUR', method: 'measured', unknowns: 0 },
    });
    expect(summary.overhead.energy.joules).toBe(0.5);
    expect(summary.total.energy).toEqual({ joules: 4.5, method: 'measured', unknowns: 0 });
    expect(summary.total.cost).toEqual({ amount: 0.00000045, currency: 'EUR', method: 'assumed', unknowns: 0 });
  });

  it('is told per thousand pictures made, without what was spent once', () => {
    const totals = totalsOf([group({ entries: 3, millijoules: 400, nano: 1n }), load], 1);
    expect(costSummaryOf(totals, 'EUR').perThousand).toEqual({
      energy: { joules: 133.333, method: 'measured', unknowns: 0 },
      cost: { amount: 0.000000333, currency: 'EUR', method: 'measured', unknowns: 0 },
    });
    expect(costSummaryOf(totalsOf([load], 0), 'EUR').perThousand).toBeNull();
  });

  it('is nothing, in the currency of the tariff, where nothing was made', () => {
    const summary = costSummaryOf(totalsOf([], 0), 'CHF');
    expect(summary.total).toEqual({
      energy: { joules: 0, method: 'measured', unknowns: 0 },
      cost: { amount: 0, currency: 'CHF', method: 'measured', unknowns: 0 },
    });
    expect(summary.perThousand).toBeNull();
  });

  it('is unknown, not zero, where all of it is unknown', () => {
    const summary = costSummaryOf(totalsOf([group(UNKNOWN)], 1), 'EUR');
    expect(summary.total).toEqual({
      energy: { joules: null, method: 'unknown', unknowns: 4 },
      cost: { amount: null, currency: 'EUR', method: 'unknown', unknowns: 4 },
    });
    expect(summary.perThousand).toEqual(summary.total);
  });

  it('stays unknown in total when only an overhead is known of nothing', () => {
    const summary = costSummaryOf(totalsOf([group({ ...UNKNOWN, part: 'overhead', entries: 1 })], 0), 'EUR');
    expect(summary.total.energy).toEqual({ joules: null, method: 'unknown', unknowns: 1 });
  });

  it('counts what it does not hold, of energy and of money apart, also per thousand', () => {
    const unpriced = group({ entries: 2, nano: null, costMethod: 'unknown' });
    const summary = costSummaryOf(totalsOf([group({}), unpriced, group({ ...UNKNOWN, entries: 2 })], 1), 'EUR');
    expect(summary.pictures).toMatchObject({
      energy: { joules: 8, unknowns: 2 },
      cost: { amount: 0.0000004, unknowns: 4 },
    });
    expect(summary.perThousand).toMatchObject({
      energy: { joules: 1000, unknowns: 2 },
      cost: { amount: 0.00005, unknowns: 4 },
    });
  });

  it('never adds two currencies', () => {
    const summary = costSummaryOf(totalsOf([group({}), group({ currency: 'CHF', nano: 7n })], 1), 'EUR');
    expect(summary.total.cost).toEqual({ amount: null, currency: 'EUR', method: 'unknown', unknowns: 0 });
    expect(summary.perThousand?.cost.amount).toBeNull();
    expect(summary.total.energy.joules).toBe(8);
  });
});
