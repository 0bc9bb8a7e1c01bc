import { describe, expect, it } from 'vitest';
import { noticeLine } from '../../src/cost/line.ts';
import { type EntryGroup, totalsOf } from '../../src/cost/totals.ts';

const KWH = 3_600_000_000;

function group(change: Partial<EntryGroup> = {}): EntryGroup {
  return {
    part: 'active',
    currency: 'EUR',
    energyMethod: 'measured',
    costMethod: 'measured',
    entries: 987,
    millijoules: 2 * KWH,
    nano: 580_000_000n,
    seconds: 17_000,
    ...change,
  };
}

const load = group({ part: 'overhead', entries: 1, millijoules: 0.1 * KWH, nano: 30_000_000n });
const unknown = { energyMethod: 'unknown', costMethod: 'unknown', millijoules: null, nano: null } as const;

function line(groups: readonly EntryGroup[], { failed = 13, seconds = 18_720 } = {}, why?: string): string {
  return noticeLine({ done: 987, total: 1_000, failed, totals: totalsOf(groups, 1), seconds }, why);
}

describe('the line of a notice', () => {
  it('says how far the run is, what failed, what it took with its overhead, and how long', () => {
    expect(line([group(), load])).toBe('987/1000, 13 failed, 2.1 kWh, 0.61 EUR, 5 h 12');
  });

  it('says what happened in front of it', () => {
    expect(line([group(), load], {}, 'no picture for 31 min')).toBe(
      'no picture for 31 min; 987/1000, 13 failed, 2.1 kWh, 0.61 EUR, 5 h 12',
    );
  });

  it('leaves out failures and a bill where there are none', () => {
    expect(line([], { failed: 0, seconds: 59.9 })).toBe('987/1000, 59 s');
  });

  it('marks each figure that is not measured', () => {
    expect(line([group({ energyMethod: 'assumed' }), load])).toContain(', ~2.1 kWh, 0.61 EUR,');
    expect(line([group({ costMethod: 'derived' }), load])).toContain(', 2.1 kWh, ~0.61 EUR,');
  });

  it('says that a figure is unknown, or at least so much', () => {
    expect(line([group(unknown)])).toContain(', energy unknown, cost unknown,');
    expect(line([group(), group(unknown)])).toContain(', at least 2.0 kWh, at least 0.58 EUR,');
  });

  it('never adds currencies', () => {
    expect(line([group(), group({ currency: 'USD', nano: 1_250_000_000n, costMethod: 'assumed' })])).toContain(
      ', 4.0 kWh, 0.58 EUR, ~1.25 USD,',
    );
  });

  it('is as exact as the figures are large', () => {
    expect(line([group({ millijoules: 345_600, nano: 28_800n })])).toContain(', 346 J, 0.000029 EUR,');
    expect(line([group({ millijoules: 37.26 * KWH, nano: 11_178_000_000n })])).toContain(', 37 kWh, 11.18 EUR,');
    expect(line([group({ millijoules: 0, nano: 0n })])).toContain(', 0 J, 0 EUR,');
  });

  it.each([
    [61, '1 min'],
    [3_599, '59 min'],
    [3_600, '1 h 00'],
    [90_000, '25 h 00'],
  ])('writes %d s as %s', (seconds, text) => {
    expect(line([], { failed: 0, seconds })).toBe(`987/1000, ${text}`);
  });
});
