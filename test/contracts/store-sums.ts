import { beforeEach, describe, expect, it } from 'vitest';
import type { LedgerRow, LedgerSpan, LedgerSum, Store, Stretch, SumKey } from '../../src/ports.ts';
import { SUM_KEYS } from '../../src/ports-ledger.ts';
import { METHODS, nanoOf } from '../../src/units.ts';
import { bookAnything, DAY, someQuarter } from '../store/any-ledger.ts';
import { CARD, chargeOf, stretchOf } from '../store/ledger-samples.ts';
import { activeEntry, receiptOf } from '../store/samples.ts';
import { type Rng, seeded } from '../support/rng.ts';
import type { StoreBench } from './store-bench.ts';

const QUARTER = 900_000;
const EVER = { from: 0, to: Number.POSITIVE_INFINITY };

/** Sums over all rows of the ledger. */
export function sumPromises(open: () => StoreBench): void {
  let store: Store;

  beforeEach(() => {
    store = open().store;
  });

  const stretched = (...stretches: readonly Stretch[]) => store.meter({ marks: [], stretches });

  describe('sums over the ledger', () => {
    it('are none where nothing was booked', async () => {
      expect(await store.sums(DAY, [])).toEqual([]);
      expect(await store.sums(EVER, SUM_KEYS)).toEqual([]);
    });

    it('add up what agrees in all that was asked for, and say nothing of the rest', async () => {
      await stretched(stretchOf(0, 2_000), stretchOf(2_000, 3_000), stretchOf(0, 1_000, { gpu: 'GPU-2' }));
      const all = {
        ...{ slot: null, service: null, model: null, preset: null, run: null, tags: null, gpu: null, kind: 'idle' },
        ...{ cause: 'resident', currency: 'EUR', energyMethod: 'measured', costMethod: 'measured', entries: 3 },
        ...{ millijoules: 100_000, bound: 3_000, nano: 225n, seconds: 4, leastNano: 75n, mostNano: 75n },
      };
      expect(await store.sums(EVER, [])).toMatchObject([all]);
      expect(await store.sums(EVER, ['gpu', 'slot'])).toMatchObject([
        { ...all, slot: 0, gpu: CARD, entries: 2, millijoules: 75_000, bound: 2_000, nano: 150n, seconds: 3 },
        { ...all, slot: 0, gpu: 'GPU-2', entries: 1, millijoules: 25_000, bound: 1_000, nano: 75n, seconds: 1 },
      ]);
      const [{ squares } = { squares: Number.NaN }] = await store.sums(EVER, []);
      expect(squares / (3 * 0.000000075 ** 2)).toBeCloseTo(1, 9);
    });

    it('count a row in the quarter of an hour of its last moment', async () => {
      const next = DAY.from + QUARTER;
      await stretched(stretchOf(DAY.from, next), stretchOf(next, next), stretchOf(DAY.from - 5, DAY.from));
      const seen = await store.sums(EVER, ['slot']);
      expect(
        seen.toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0)).map(({ slot, entries }) => [slot, entries]),
      ).toEqual([
        [DAY.from - QUARTER, 1],
        [DAY.from, 1],
        [next, 1],
      ]);
      expect(await store.sums({ from: DAY.from, to: next }, [])).toMatchObject([{ entries: 1 }]);
    });

    it('keep what is unknown apart, and are null there', async () => {
      const unread = receiptOf('b-1', { energy: { joules: null, method: 'unknown', meter: 'none', flags: [] } });
      const entries = [
        activeEntry('r1', 'r1-000000', 'b-1'),
        activeEntry('r1', 'r1-000001', 'b-1', { receipt: unread }),
        activeEntry('r1', 'r1-000002', 'b-1', {
          receipt: { ...unread, cost: { amount: null, currency: 'EUR', method: 'unknown' } },
        }),
      ];
      await store.settle({ batchId: 'b-1', at: 1, entries, jobs: [] });
      const sums = await store.sums(EVER, ['run']);
      expect(sums.toSorted((a, b) => weight(a) - weight(b))).toMatchObject([
        { run: 'r1', energyMethod: 'assumed', costMethod: 'assumed', millijoules: 81_251, nano: 6_771n, entries: 1 },
        { run: 'r1', energyMethod: 'unknown', costMethod: 'assumed', millijoules: null, nano: 6_771n },
        { energyMethod: 'unknown', costMethod: 'unknown', nano: null, leastNano: null, mostNano: null, squares: 0 },
      ]);
    });

    it('count the time of a warm-up in the entries of its batch alone', async () => {
      const warm = { kind: 'overhead', batchId: 'b-1' } as const;
      await stretched(
        stretchOf(0, 2_000, { ...warm, cause: 'compile' }),
        stretchOf(2_000, 3_000, { ...warm, cause: 'warmup' }),
        stretchOf(3_000, 4_000, { ...warm, cause: 'lost' }),
      );
      const seen = (await store.sums(EVER, [])).map(({ cause, seconds }) => `${cause} ${seconds}`);
      expect(seen.sort()).toEqual(['compile 0', 'lost 1', 'warmup 0']);
    });

    it('have no bound where any of their rows has none', async () => {
      await stretched(stretchOf(0, 2_000), stretchOf(2_000, 3_000, { bound: null }), stretchOf(900_000, 901_000));
      const seen = await store.sums(EVER, ['slot']);
      expect(seen.toSorted((a, b) => (a.slot ?? 0) - (b.slot ?? 0)).map(({ bound }) => bound)).toEqual([null, 1_000]);
      expect(await store.sums(EVER, [])).toMatchObject([{ bound: null, millijoules: 100_000 }]);
    });

    it('tell of what rows it cannot be told whether others burnt a part, and their energy where it is known', async () => {
      const energy = { joules: 40, method: 'derived', meter: 'nvml_counter', flags: ['sharing_unknown'] } as const;
      const unread = { ...energy, joules: null, method: 'unknown', meter: 'none' } as const;
      const entries = [
        activeEntry('r1', 'r1-000000', 'b-1', { receipt: receiptOf('b-1', { energy }) }),
        activeEntry('r1', 'r1-000001', 'b-1', {
          receipt: receiptOf('b-1', { energy: { ...energy, flags: ['coarse'] } }),
        }),
        activeEntry('r1', 'r1-000002', 'b-1', { receipt: receiptOf('b-1', { energy: unread }) }),
      ];
      await store.settle({ batchId: 'b-1', at: 1, entries, jobs: [] });
      await stretched(stretchOf(0, 1_000, { flags: ['coarse', 'sharing_unknown'] }), stretchOf(1_000, 2_000));
      await store.charge([chargeOf('c1')]);
      const told = (await store.sums(EVER, [])).map((sum) => {
        const { kind, energyMethod, entries: rows, untold, untoldMillijoules } = sum;
        return `${kind} ${energyMethod}: ${untold} of ${rows}, ${untoldMillijoules} mJ`;
      });
      expect(told.sort()).toEqual([
        'active derived: 1 of 2, 40000 mJ',
        'active unknown: 1 of 1, 0 mJ',
        'charge measured: 0 of 1, 0 mJ',
        'idle measured: 1 of 2, 25000 mJ',
      ]);
    });

    it('take the energy of a correction away again, and not its time', async () => {
      const lost = stretchOf(0, 10_000, { kind: 'overhead', cause: 'lost', batchId: 'b-1', millijoules: 9_000 });
      const cost = { amount: -0.00000005, currency: 'EUR', method: 'measured' } as const;
      await stretched(lost, { ...lost, id: 'less', millijoules: -4_000, cost, corrects: lost.id });
      expect(await store.sums(EVER, [])).toMatchObject([
        { millijoules: 5_000, nano: 25n, seconds: 10, leastNano: -50n },
      ]);
    });

    it('are exact beyond what a number can hold, and never mix currencies', async () => {
      const dear = { unitCost: 9_000_000, amount: 9_000_000.000000002, currency: 'JPY' };
      await store.charge([chargeOf('c1', dear), chargeOf('c2', dear), chargeOf('c3', { tags: { b: '1', a: '2' } })]);
      await store.charge([chargeOf('c4', { tags: { a: '2', b: '1' } })]);
      const sums = await store.sums(EVER, ['service', 'tags']);
      expect(sums.toSorted((a, b) => (a.currency < b.currency ? -1 : 1))).toMatchObject([
        { kind: 'charge', currency: 'JPY', nano: 2n * nanoOf(dear.amount), tags: '{}', millijoules: 0, seconds: 0 },
        { service: 'midjourney', currency: 'USD', nano: 20_000_000_000n, tags: '{"a":"2","b":"1"}', entries: 2 },
      ]);
    });

    it('refuse a span that cuts a quarter of an hour', async () => {
      const cut = { from: DAY.from, to: DAY.to - 1 };
      await expect(store.sums(cut, [])).rejects.toMatchObject({ name: 'StorageError', code: 'internal' });
    });

    it('equal what is added up row by row, whatever they are asked by', async () => {
      const random = seeded(7);
      await bookAnything(store, random);
      for (let round = 0; round < 24; round++) {
        const by = SUM_KEYS.filter(() => random() < 0.5);
        const span = round === 0 ? EVER : someSpan(random);
        expect(comparable(await store.sums(span, by))).toEqual(comparable(bruteForce(await rowsOf(store, span), by)));
      }
    });

    it('of the parts of a span add up to those of the whole', async () => {
      const random = seeded(8);
      await bookAnything(store, random);
      for (let round = 0; round < 12; round++) {
        const by = SUM_KEYS.filter((key) => key !== 'slot' && random() < 0.4);
        const cuts = [DAY.from, DAY.to, someQuarter(random), someQuarter(random)].sort((a, b) => a - b);
        const parts = cuts.slice(1).map((to, at) => store.sums({ from: cuts[at] ?? to, to }, by));
        const all = (await Promise.all(parts)).flat();
        expect(comparable(merged(all))).toEqual(comparable(await store.sums(DAY, by)));
      }
    });
  });
}

function weight({ energyMethod, costMethod }: LedgerSum): number {
  return METHODS.indexOf(energyMethod) + METHODS.indexOf(costMethod);
}

function someSpan(random: Rng): LedgerSpan {
  const [one, other] = [someQuarter(random), someQuarter(random)];
  return { from: Math.min(one, other), to: Math.max(one, other) };
}

async function rowsOf(store: Store, span: LedgerSpan): Promise<readonly LedgerRow[]> {
  const rows: LedgerRow[] = [];
  for (;;) {
    const page = await store.ledger(span, rows.at(-1)?.seq ?? 0, 64);
    if (page.length === 0) return rows;
    rows.push(...page);
  }
}

function bruteForce(rows: readonly LedgerRow[], by: readonly SumKey[]): readonly LedgerSum[] {
  return merged(rows.map((row) => alone(row, by)));
}

/** A row as the sum of nothing else. */
function alone(row: LedgerRow, by: readonly SumKey[]): LedgerSum {
  const nano = row.total_cost === null ? null : nanoOf(row.total_cost);
  const ended = row.from_at === null || row.to_at === null ? row.at : Math.max(row.from_at, row.to_at - 1);
  const tags = Object.keys(row.tags).sort();
  const keys = {
    slot: Math.floor(ended / QUARTER) * QUARTER,
    service: row.service,
    model: row.model,
    preset: row.preset,
    run: row.run_id,
    tags: `{${tags.map((name) => `${JSON.stringify(name)}:${JSON.stringify(row.tags[name])}`).join(',')}}`,
    gpu: row.gpu,
  };
  const asked = Object.fromEntries(SUM_KEYS.map((key) => [key, by.includes(key) ? keys[key] : null]));
  return {
    ...(asked as typeof keys),
    kind: row.kind,
    cause: row.cause,
    currency: row.currency,
    energyMethod: row.energy_method,
    costMethod: row.cost_method,
    entries: 1,
    millijoules: row.energy_mj,
    bound: row.bound_mj,
    untold: row.flags.includes('sharing_unknown') ? 1 : 0,
    untoldMillijoules: row.flags.includes('sharing_unknown') ? (row.energy_mj ?? 0) : 0,
    nano,
    seconds: row.seconds,
    squares: (row.total_cost ?? 0) ** 2,
    leastNano: nano,
    mostNano: nano,
  };
}

function groupOf({ slot, service, model, preset, run, tags, gpu, kind, cause, currency, ...sum }: LedgerSum): string {
  const keys = [slot, service, model, preset, run, tags, gpu, kind, cause, currency, sum.energyMethod, sum.costMethod];
  return JSON.stringify(keys);
}

function merged(sums: readonly LedgerSum[]): readonly LedgerSum[] {
  return [...Map.groupBy(sums, groupOf).values()].map((group) => group.reduce(together));
}

function together(one: LedgerSum, other: LedgerSum): LedgerSum {
  return {
    ...one,
    entries: one.entries + other.entries,
    millijoules: one.millijoules === null || other.millijoules === null ? null : one.millijoules + other.millijoules,
    bound: one.bound === null || other.bound === null ? null : one.bound + other.bound,
    untold: one.untold + other.untold,
    untoldMillijoules: one.untoldMillijoules + other.untoldMillijoules,
    nano: one.nano === null || other.nano === null ? null : one.nano + other.nano,
    seconds: one.seconds + other.seconds,
    squares: one.squares + other.squares,
    leastNano: one.leastNano === null || other.leastNano === null ? null : least(one.leastNano, other.leastNano),
    mostNano: one.mostNano === null || other.mostNano === null ? null : -least(-one.mostNano, -other.mostNano),
  };
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}

/** In one order, and without the last digits of what was added up in another order. */
function comparable(sums: readonly LedgerSum[]): readonly object[] {
  return [...sums]
    .sort((a, b) => (groupOf(a) < groupOf(b) ? -1 : 1))
    .map(({ seconds, squares, ...sum }) => ({ ...sum, seconds: seconds.toFixed(6), squares: squares.toPrecision(9) }));
}
