import { describe, expect, it } from 'vitest';
import type { Figures } from '../../src/cost/report-figures.ts';
import { groupingOf } from '../../src/cost/report-groups.ts';
import type { Money } from '../../src/cost/report-money.ts';
import type { LedgerSum } from '../../src/ports.ts';
import { nanoOf } from '../../src/units.ts';
import { seeded, shuffled } from '../support/rng.ts';
import { sumRow } from './ledger-samples.ts';
import { CALENDAR, HARDWARE, madeOf, NOVEMBER, settingsOf } from './report-samples.ts';

const QUARTER = 900_000;

describe('three costs', () => {
  const sums = [
    sumRow('active', { entries: 10, service: 'local', nano: 1_000_000n }),
    sumRow('overhead', { cause: 'load', service: 'local', nano: 200_000n }),
    sumRow('idle', { cause: 'resident', nano: 3_000_000n }),
    sumRow('foreign', { cause: 'process', nano: 40_000_000n }),
    sumRow('unknown', { cause: 'off', nano: 500_000_000n }),
    sumRow('charge', { nano: nanoOf(10) }),
    sumRow('credit', { nano: nanoOf(-4) }),
    sumRow('correction', { nano: nanoOf(-1) }),
  ];

  it('are electricity of ours; what left the account; and that with hardware', () => {
    const { total } = madeOf({ sums, settings: settingsOf({ fixed: 12, hardware: [HARDWARE] }) });
    expect(total.marginal.nano).toBe(1_200_000n);
    expect(total.cash.nano).toBe(1_200_000n + 3_000_000n + nanoOf(12 + 10 - 4 - 1));
    expect(total.full.nano).toBe((total.cash.nano ?? 0n) + nanoOf(25));
  });

  it('hold nothing of what others burnt, and nothing of what cannot be told', () => {
    const without = madeOf({ sums: sums.filter(({ kind }) => kind !== 'foreign' && kind !== 'unknown') });
    const { total } = madeOf({ sums });
    expect([total.marginal, total.cash, total.full]).toEqual([
      without.total.marginal,
      without.total.cash,
      without.total.full,
    ]);
    expect(total.electricity.foreign.nano).toBe(40_000_000n);
  });

  it('are told for a picture and for a thousand, rounded from the sum and not from each other', () => {
    const { total } = madeOf({ sums: [sumRow('active', { entries: 3, nano: 100n })] });
    expect(total.perPicture).toMatchObject({ marginal: 33n, perThousand: { marginal: 33_333n } });
  });

  it('of nothing are nothing, and have no picture to divide by', () => {
    const { total, entries } = madeOf({ sums: [] });
    expect(entries).toBe(0);
    expect(total.full).toEqual({ nano: 0n, method: 'measured', unknowns: 0, apart: 0, entries: 0 });
    expect([total.perPicture, total.idlePart]).toEqual([null, null]);
  });

  it('write hardware off between its purchase and its last month only', () => {
    const of = (bought: string, months: number) =>
      madeOf({ sums: [], settings: settingsOf({ hardware: [{ ...HARDWARE, bought, months }] }) }).total.amortisation
        .nano;
    expect(of('2026-12-01', 36)).toBe(0n);
    expect(of('2023-11-01', 36)).toBe(0n);
    expect(of('2026-11-16', 1)).toBe(nanoOf(450));
    // Its last month has 31 days and an hour, and 15 days of it are of November.
    expect(of('2023-11-16', 36)).toBe(nanoOf(12.080536913));
  });
});

describe('the spread of a picture', () => {
  it('is that of all pictures, as if each had been looked at', () => {
    const rng = seeded(7);
    const costs = Array.from({ length: 500 }, () => BigInt(Math.round(rng() * 400_000)));
    const { total } = madeOf({ sums: chunked(costs) });
    const units = costs.map((nano) => Number(nano) / 1e9);
    const mean = units.reduce((sum, unit) => sum + unit, 0) / units.length;
    const variance = units.reduce((sum, unit) => sum + (unit - mean) ** 2, 0) / units.length;
    const spread = total.perPicture?.spread;
    expect(spread?.mean).toBeCloseTo(mean, 12);
    expect(spread?.deviation).toBeCloseTo(Math.sqrt(variance), 9);
    expect([spread?.least, spread?.most]).toEqual([Math.min(...units), Math.max(...units)]);
  });

  it('is told of more groups than a call takes arguments', () => {
    const sums = Array.from({ length: 150_000 }, (_, at) => sumRow('active', { nano: BigInt(at) }));
    expect(madeOf({ sums, slots: [] }).total.perPicture?.spread).toMatchObject({ least: 0, most: 149_999 / 1e9 });
  });
});

const NONE = settingsOf({}).standing;

describe('hardware', () => {
  it('of several kinds is written off each by its own dates, and what has no rate stays apart', () => {
    const hardware = [HARDWARE, { ...HARDWARE, price: 820, bought: '2026-11-16', months: 12 }];
    const both = madeOf({ sums: [], settings: settingsOf({ hardware }) }).total;
    // 25 a month, and half of 10.
    expect(both.amortisation).toMatchObject({ nano: nanoOf(30), apart: 0 });
    const abroad = { ...HARDWARE, currency: 'GBP' };
    const some = madeOf({ sums: [], settings: settingsOf({ hardware: [HARDWARE, abroad] }) }).total;
    expect(some.amortisation).toMatchObject({ nano: nanoOf(25), apart: 1 });
    expect(some.apart).toEqual([{ currency: 'GBP', nano: nanoOf(25) }]);
  });
});

describe('currencies', () => {
  const sums = [
    sumRow('active', { nano: 5n }),
    sumRow('charge', { nano: nanoOf(10), currency: 'USD' }),
    sumRow('charge', { nano: nanoOf(3), currency: 'GBP' }),
  ];

  it('come home by their rate, and what was converted is shown with who says so', () => {
    const { total, conversions } = madeOf({ sums, settings: settingsOf({}) });
    expect(total.charges).toMatchObject({ nano: nanoOf(9.2), method: 'derived' });
    expect(conversions).toEqual([
      { currency: 'USD', nano: nanoOf(10), home: nanoOf(9.2), rate: 0.92, date: '2026-11-02', source: 'ECB' },
    ]);
  });

  it('without a rate stay apart, and are in no sum', () => {
    const { total } = madeOf({ sums });
    expect(total.apart).toEqual([{ currency: 'GBP', nano: nanoOf(3) }]);
    expect(total.cash.nano).toBe(5n + nanoOf(9.2));
  });

  it('without a rate are no zero: what holds nothing else is not told, and a sum with others counts them', () => {
    const settings = { ...settingsOf({ fixed: 9, hardware: [{ ...HARDWARE, currency: 'USD' }] }), currency: 'USD' };
    const { total, ours } = madeOf({ sums: [sumRow('active', { entries: 2 })], settings });
    for (const name of ['marginal', 'fixed', 'cash'] as const) expect(total[name].nano).toBeNull();
    expect(total.marginal).toMatchObject({ method: 'unknown', unknowns: 0, apart: 2 });
    expect(total.perPicture).toMatchObject({ marginal: null, cash: null, spread: null });
    expect(total.full).toMatchObject({ nano: nanoOf(25), apart: 3 });
    expect(ours).toMatchObject({ atLeast: true });
    const nothing = madeOf({ sums: [sumRow('active', { nano: 0n })], settings: { ...settings, standing: NONE } }).total;
    expect(nothing.full).toMatchObject({ nano: 0n, apart: 0 });
  });

  it('of hardware and fixed charges come home likewise', () => {
    const settings = settingsOf({ fixed: 10, fixedCurrency: 'GBP', hardware: [{ ...HARDWARE, currency: 'USD' }] });
    const { total, conversions } = madeOf({ sums: [], settings });
    expect(total.apart).toEqual([{ currency: 'GBP', nano: nanoOf(10) }]);
    expect(total.full.nano).toBe(nanoOf(23));
    const { fixed } = madeOf({
      sums: [],
      settings: settingsOf({ fixed: 0.000000001, fixedCurrency: 'USD', rate: 1e9 }),
    }).total;
    expect(fixed.nano).toBe(nanoOf(1));
    const part = { from: NOVEMBER.from, to: CALENDAR.startOf('2026-11-02') };
    const day = madeOf({
      span: part,
      sums: [],
      settings: settingsOf({ fixed: 1, fixedCurrency: 'USD', rate: 3e8 }),
    }).total;
    // A thirtieth of 3e8, rounded at home alone.
    expect(day.fixed.nano).toBe(nanoOf(1e7));
    expect(conversions).toMatchObject([{ currency: 'USD', nano: nanoOf(25), home: nanoOf(23) }]);
  });
});

describe('groups', () => {
  const by = ['service', 'provider', 'model', 'preset', 'run', 'day', 'hour', 'tag', 'tag:client'];

  it.each(by)('by %s add up to the total to the billionth, with rates that never come out even', (text) => {
    const sums = randomSums(11);
    const settings = settingsOf({ fixed: 9.99, hardware: [HARDWARE], rate: 0.923456789 });
    const { groups, total } = madeOf({ sums, by: groupingOf(text), settings });
    expect(groups.length).toBeGreaterThan(1);
    for (const name of ['marginal', 'cash', 'full', 'fixed', 'amortisation', 'charges', 'credits'] as const)
      expect(added(groups.map(({ figures }) => figures[name]))).toBe(total[name].nano);
    for (const kind of ['active', 'overhead', 'idle', 'foreign', 'unknown'] as const) {
      expect(added(groups.map(({ figures }) => figures.electricity[kind]))).toBe(total.electricity[kind].nano);
      const parts = groups.map(({ figures }) => figures.energy[kind].millijoules ?? 0);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(total.energy[kind].millijoules);
    }
    expect(groups.reduce((sum, { figures }) => sum + figures.pictures, 0)).toBe(total.pictures);
    expect(apartIn(groups)).toEqual(apartIn([{ figures: total }]));
  });

  it.each(by)('by %s each have their part of what no rate takes home', (text) => {
    const hardware = [{ ...HARDWARE, currency: 'JPY' }];
    const settings = settingsOf({ fixed: 9.99, fixedCurrency: 'CHF', hardware });
    const { groups, total } = madeOf({ sums: randomSums(13), by: groupingOf(text), settings });
    expect(total.apart.map(({ currency }) => currency)).toEqual(['CHF', 'GBP', 'JPY']);
    expect(apartIn(groups)).toEqual(apartIn([{ figures: total }]));
  });

  it('change nothing of the total', () => {
    const sums = randomSums(12);
    const settings = settingsOf({ rate: 0.923456789 });
    const totals = by.map(
      (text) => madeOf({ sums: shuffled(sums, seeded(text.length)), by: groupingOf(text), settings }).total,
    );
    for (const total of totals) expect(total.full).toEqual(totals[0]?.full);
  });

  it('of days go by the clock of the tariff: a quarter before midnight is of the day that ends', () => {
    const midnight = CALENDAR.startOf('2026-11-15');
    const sums = [sumRow('active', { slot: midnight - QUARTER }), sumRow('active', { slot: midnight, entries: 2 })];
    const days = madeOf({ sums, by: groupingOf('day') }).groups;
    expect(days).toHaveLength(30);
    expect(
      days.filter(({ figures }) => figures.pictures > 0).map(({ name, figures }) => [name, figures.pictures]),
    ).toEqual([
      ['2026-11-14', 1],
      ['2026-11-15', 2],
    ]);
  });

  it('of hours keep the two apart that have one name when the clock is set back', () => {
    const span = { from: CALENDAR.startOf('2026-10-25'), to: CALENDAR.startOf('2026-10-26') };
    const sums = [
      sumRow('active', { slot: span.from + 8 * QUARTER }),
      sumRow('active', { slot: span.from + 12 * QUARTER }),
    ];
    const names = madeOf({ span, sums, by: groupingOf('hour') }).groups.map(({ name }) => name);
    expect(names).toEqual(['2026-10-25T02:00+02:00', '2026-10-25T02:00+01:00']);
  });

  it('have the dearest first, and what belongs to none under its own name', () => {
    const sums = [
      sumRow('active', { model: 'small', nano: 1n }),
      sumRow('active', { model: 'large', nano: 9n }),
      sumRow('idle', { nano: 5n }),
    ];
    const { groups } = madeOf({ sums, by: groupingOf('model') });
    expect(groups.map(({ label }) => label)).toEqual(['large', '(no model)', 'small']);
  });

  it('of runs go by their names', () => {
    const labels = new Map([['r1', 'foxes']]);
    const { groups } = madeOf({ sums: [sumRow('active', { run: 'r1' })], by: groupingOf('run'), labels });
    expect(groups).toMatchObject([{ name: 'r1', label: 'foxes' }]);
  });

  it('are refused by a word that is none', () => {
    expect(() => groupingOf('colour')).toThrow('--by: needs one of service');
  });
});

describe('a tag', () => {
  it('leaves its rows only, without what costs money by the month', () => {
    const sums = [
      sumRow('active', { tags: '{"client":"acme"}', nano: 5n }),
      sumRow('active', { tags: '{"client":"other"}', nano: 7n }),
      sumRow('idle', { nano: 9n }),
    ];
    const settings = settingsOf({ fixed: 10, hardware: [HARDWARE] });
    expect(madeOf({ sums, tags: { client: 'acme' }, settings }).total).toMatchObject({
      pictures: 1,
      full: { nano: 5n },
    });
  });
});

describe('the trend', () => {
  it('has every local day of the time, also one of 25 hours, and those on which nothing was made', () => {
    const span = { from: CALENDAR.startOf('2026-10-24'), to: CALENDAR.startOf('2026-10-28') };
    const sums = [
      sumRow('active', { slot: span.to - QUARTER, millijoules: 5 }),
      sumRow('idle', { slot: span.from, millijoules: 7 }),
    ];
    const { trend } = madeOf({ span, sums });
    expect(trend.map(({ day, pictures, work, idle }) => [day, pictures, work, idle])).toEqual([
      ['2026-10-24', 0, 0, 7],
      ['2026-10-25', 0, 0, 0],
      ['2026-10-26', 0, 0, 0],
      ['2026-10-27', 1, 5, 0],
    ]);
  });

  it('of a year puts days together, and loses none', () => {
    const span = { from: CALENDAR.startOf('2025-12-01'), to: NOVEMBER.to };
    const sums = Array.from({ length: 365 }, (_, day) => sumRow('active', { slot: span.from + day * 96 * QUARTER }));
    const { trend } = madeOf({ span, sums });
    expect(trend.length).toBeLessThanOrEqual(62);
    expect(trend.reduce((sum, { days }) => sum + days, 0)).toBe(365);
    expect(trend.reduce((sum, { pictures }) => sum + pictures, 0)).toBe(365);
  });
});

function apartIn(groups: readonly { readonly figures: Figures }[]): Readonly<Record<string, bigint>> {
  const sums: Record<string, bigint> = {};
  for (const { currency, nano } of groups.flatMap(({ figures }) => figures.apart))
    sums[currency] = (sums[currency] ?? 0n) + nano;
  return sums;
}

function added(parts: readonly Money[]): bigint {
  return parts.reduce((sum, { nano }) => sum + (nano ?? 0n), 0n);
}

/** Pictures in groups of five, as a store sums them. */
function chunked(costs: readonly bigint[]): readonly LedgerSum[] {
  return Array.from({ length: costs.length / 5 }, (_, at) => {
    const some = costs.slice(at * 5, at * 5 + 5);
    const sorted = some.toSorted((a, b) => Number(a - b));
    return sumRow('active', {
      entries: 5,
      nano: some.reduce((sum, nano) => sum + nano, 0n),
      squares: some.reduce((sum, nano) => sum + (Number(nano) / 1e9) ** 2, 0),
      leastNano: sorted[0] ?? null,
      mostNano: sorted[4] ?? null,
    });
  });
}

/** Of all kinds, at all times of November, in three currencies. */
function randomSums(seed: number): readonly LedgerSum[] {
  const rng = seeded(seed);
  const one = <Of>(list: readonly Of[]): Of => list[Math.floor(rng() * list.length)] as Of;
  const quarters = (NOVEMBER.to - NOVEMBER.from) / QUARTER;
  const kinds = ['active', 'overhead', 'idle', 'foreign', 'unknown', 'charge', 'credit', 'correction'] as const;
  return Array.from({ length: 400 }, () => {
    const kind = one(kinds);
    const ours = kind === 'active' || kind === 'overhead';
    const nano = BigInt(Math.floor(rng() * 1e9)) * (kind === 'credit' ? -1n : 1n);
    return sumRow(kind, {
      slot: NOVEMBER.from + Math.floor(rng() * quarters) * QUARTER,
      entries: 1 + Math.floor(rng() * 4),
      nano: rng() < 0.05 ? null : nano,
      millijoules: kind.startsWith('c') ? 0 : Math.floor(rng() * 1e7),
      currency: one(['EUR', 'USD', 'GBP']),
      service: ours ? 'local' : one(['electricity', 'midjourney', 'runpod']),
      model: ours ? one(['tiny', 'sdxl', 'flux']) : null,
      preset: ours ? one(['plain', 'auto']) : null,
      run: ours ? one(['r1', 'r2', 'r3']) : null,
      tags: one(['{}', '{"client":"acme"}', '{"client":"other","project":"kiln"}']),
      cause: kind === 'overhead' ? one(['load', 'failed']) : null,
    });
  });
}
