import { describe, expect, it } from 'vitest';
import type { LedgerSum } from '../../src/ports.ts';
import { nanoOf } from '../../src/units.ts';
import { sumRow } from './ledger-samples.ts';
import { HARDWARE, madeOf, NOVEMBER, settingsOf } from './report-samples.ts';

describe('what is not known', () => {
  it('is in no sum, is counted, and leaves a sum of nothing else unknown', () => {
    const known = sumRow('active', { entries: 2, millijoules: 500, nano: 7n });
    const unknown = sumRow('active', { entries: 3, millijoules: null, nano: null });
    const some = madeOf({ sums: [known, unknown] }).total;
    expect(some.energy.active).toMatchObject({ millijoules: 500, unknowns: 3, entries: 5, method: 'measured' });
    expect(some.full).toMatchObject({ nano: 7n, unknowns: 3 });
    expect(some.pictures).toBe(5);
    const none = madeOf({ sums: [unknown] }).total;
    expect(none.energy.active).toMatchObject({ millijoules: null, method: 'unknown' });
    expect(none.full).toMatchObject({ nano: null, unknowns: 3 });
    expect(none.perPicture).toMatchObject({ marginal: null, spread: null });
  });

  it('is no zero in grams, at the wall, in the trend, or as a part of idle', () => {
    const settings = {
      ...settingsOf({ wall: { efficiency: 0.8, hostWatts: 0 } }),
      grams: (millijoules: number) => ({
        grams: millijoules / 1e6,
        method: 'derived' as const,
        source: 'config',
        year: null,
      }),
    };
    const slot = NOVEMBER.from;
    const unknown = sumRow('active', { slot, entries: 100, millijoules: null, nano: null });
    const idle = sumRow('idle', { slot, millijoules: 8_000_000 });
    const none = madeOf({ sums: [unknown], settings });
    expect([none.carbon, none.total.idlePart]).toEqual([null, null]);
    expect(none.total.wall).toMatchObject({ millijoules: null, unknowns: 100 });
    expect(none.trend[0]).toMatchObject({ pictures: 100, work: null, idle: 0, unknowns: 100 });
    const some = madeOf({ sums: [unknown, idle], settings });
    expect(some.carbon).toMatchObject({ grams: 10, unknowns: 100 });
    expect(some.total.idlePart).toBeNull();
    expect(some.total.wall).toMatchObject({ millijoules: 10_000_000, unknowns: 100 });
    expect(madeOf({ sums: [idle], settings }).carbon).toMatchObject({ unknowns: 0 });
  });

  it('is what a processor drew while it waited, and no zero', () => {
    const made = sumRow('active', { gpu: null, energyMethod: 'assumed', costMethod: 'assumed', slot: NOVEMBER.from });
    const { total, trend } = madeOf({ sums: [made] });
    expect(total.energy.idle).toMatchObject({ millijoules: null, method: 'unknown', entries: 0 });
    expect(total.electricity.idle).toMatchObject({ nano: null, method: 'unknown', unknowns: 0 });
    expect([total.cash, total.idlePart, trend[0]?.idle]).toEqual([total.marginal, null, null]);
    const onCard = madeOf({ sums: [made, sumRow('active')] }).total.energy;
    expect([onCard.idle, onCard.foreign]).toMatchObject([{ millijoules: 0 }, { millijoules: 0 }]);
    expect(madeOf({ sums: [sumRow('charge', { gpu: null })] }).total.energy.idle.millijoules).toBe(0);
  });

  it('of bounds leaves that of the sum unknown', () => {
    const assumed = sumRow('active', { bound: null, energyMethod: 'assumed' });
    const of = (...sums: LedgerSum[]) => madeOf({ sums }).total.energy.active.bound;
    expect([of(sumRow('active')), of(sumRow('active'), assumed)]).toEqual([1000, null]);
    expect(of(sumRow('active'), sumRow('active', { millijoules: null, bound: null }))).toBe(1000);
  });

  it('does not keep a sum from taking the weakest method of what is', () => {
    const sums = [sumRow('active', { costMethod: 'assumed' }), sumRow('idle')];
    const { total } = madeOf({ sums });
    expect([total.marginal.method, total.electricity.idle.method, total.cash.method]).toEqual([
      'assumed',
      'measured',
      'assumed',
    ]);
  });
});

describe('the comparison', () => {
  it('takes list prices times pictures, each with its date and source, and none that is shut down', () => {
    const { comparison } = madeOf({ sums: [sumRow('active', { entries: 1000, nano: nanoOf(1) })] });
    expect(comparison[0]).toMatchObject({ model: 'flux-schnell', nano: nanoOf(3), home: nanoOf(2.76), times: 2.76 });
    for (const { source, date, model } of comparison) {
      expect([source, date]).toEqual([expect.stringMatching(/\w/), expect.stringMatching(/^\d{4}-\d{2}(-\d{2})?$/)]);
      expect(model).not.toMatch(/dall-e|gpt-image-1/);
    }
  });

  it('is with what pictures cost here, and not with what was logged', () => {
    const sums = [sumRow('active', { entries: 1000, nano: nanoOf(1) }), sumRow('idle', { nano: nanoOf(0.5) })];
    const settings = settingsOf({ fixed: 1, hardware: [HARDWARE] });
    const logged = [sumRow('charge', { nano: nanoOf(30) }), sumRow('credit', { nano: nanoOf(-3) })];
    const { ours, comparison } = madeOf({ sums: [...sums, ...logged], settings });
    expect(ours).toMatchObject({ money: { nano: nanoOf(27.5) }, atLeast: false });
    expect(comparison[0]?.times).toBeCloseTo(2.76 / 27.5, 9);
  });

  it.each([
    ['a part of ours is unknown', [sumRow('active', { nano: null })], settingsOf({})],
    ['electricity has no rate', [sumRow('idle', { currency: 'GBP', nano: 1n })], settingsOf({})],
    ['hardware has no rate', [], settingsOf({ hardware: [{ ...HARDWARE, currency: 'GBP' }] })],
  ])('says at most where %s, and nothing of prices that are the least', (_, more, settings) => {
    const { ours, comparison } = madeOf({ sums: [sumRow('active'), ...more], settings });
    expect(ours?.atLeast).toBe(true);
    expect(comparison.filter(({ from }) => from).map(({ times }) => times)).toEqual([null, null]);
    const others = comparison.filter(({ from }) => !from);
    expect(others.every(({ times, timesIs }) => times !== null && timesIs === 'at_most')).toBe(true);
  });

  it('has no ratio with a tag, which idle and hardware do not carry', () => {
    const sums = [sumRow('active', { tags: '{"client":"acme"}' })];
    const { ours, comparison } = madeOf({ sums, tags: { client: 'acme' } });
    expect([ours, new Set(comparison.map(({ times }) => times))]).toEqual([null, new Set([null])]);
  });

  it('calls a copy a weak source', () => {
    const { comparison } = madeOf({ sums: [sumRow('active')] });
    expect(comparison.filter(({ source, weak }) => /copy|one source/.test(source) && !weak)).toEqual([]);
  });

  it('is left out where no picture was made', () => {
    expect(madeOf({ sums: [sumRow('idle')] }).comparison).toEqual([]);
  });
});

describe('at the wall', () => {
  it('is (cards and host) / efficiency, the host once for all cards, and never called measured', () => {
    const wall = { efficiency: 0.8, hostWatts: 100 };
    const sums = [
      sumRow('active', { gpu: 'GPU-1', seconds: 10, millijoules: 3_000_000, nano: 300n }),
      sumRow('active', { gpu: 'GPU-2', seconds: 10, millijoules: 1_000_000, nano: 100n }),
    ];
    const { total } = madeOf({ sums, settings: settingsOf({ wall }) });
    expect(total.wall?.energy.active).toBe((4_000_000 + 100 * 10 * 1000) / 0.8);
    expect(total.wall?.marginal).toMatchObject({ nano: 625n, method: 'derived' });
    expect(total.marginal).toMatchObject({ nano: 400n, method: 'measured' });
  });

  it('is not told where nothing is known of it', () => {
    expect(madeOf({ sums: [sumRow('active')] }).total.wall).toBeNull();
  });
});
