import { beforeEach, describe, expect, it } from 'vitest';
import type { NewMark, Store } from '../../src/ports.ts';
import { CARD, chargeOf, markAt, stretchOf } from '../store/ledger-samples.ts';
import { activeEntry, madeIn, receiptOf, runWrite } from '../store/samples.ts';
import type { StoreBench } from './store-bench.ts';

const ALWAYS = { from: 0, to: Number.POSITIVE_INFINITY };

/** Marks of the meters, what cards did between batches, charges and prices, and the rows of all of it. */
export function ledgerPromises(open: () => StoreBench): void {
  let bench: StoreBench;
  let store: Store;

  beforeEach(() => {
    bench = open();
    store = bench.store;
  });

  const mark = (...marks: readonly NewMark[]) => store.meter({ marks, stretches: [] });
  const times = async (limit = 100) => (await store.marksOf(CARD, ALWAYS, null, limit)).map(({ at }) => at);

  describe('marks', () => {
    it('are numbered for each card in the order of writing, and come in the order of their times', async () => {
      await mark(markAt(10), markAt(40), markAt(5, { gpu: 'GPU-2' }));
      await mark(markAt(20, { after: 'batch', batchId: 'b-1' }), markAt(30));
      const marks = await store.marksOf(CARD, ALWAYS, null, 100);
      expect(marks.map(({ at, number }) => [at, number])).toEqual([
        [10, 1],
        [20, 3],
        [30, 4],
        [40, 2],
      ]);
      expect(await store.marksOf('GPU-2', ALWAYS, null, 100)).toEqual([{ ...markAt(5, { gpu: 'GPU-2' }), number: 1 }]);
    });

    it('are kept to the last digit, also where a meter said nothing', async () => {
      const told = markAt(1, { integral: { millijoules: 7, bound: 3 }, foreign: 0.25, after: 'load', batchId: 'b-1' });
      const silent = markAt(2, { counter: null, foreign: null, after: 'off' });
      await mark(told, silent);
      expect(await store.marksOf(CARD, ALWAYS, null, 100)).toEqual([
        { ...told, number: 1 },
        { ...silent, number: 2 },
      ]);
    });

    it('are not written again', async () => {
      const same = [markAt(10), markAt(10, { after: 'batch', batchId: 'b-1' })];
      await mark(...same);
      await mark(...same, markAt(10, { launch: 'launch-b' }), markAt(11));
      await mark(markAt(11, { counter: 999 }));
      expect(await times()).toEqual([10, 10, 10, 11]);
    });

    it('are handed out in pages that miss none and repeat none, also of one moment', async () => {
      const doings = ['rest', 'resident', 'off', 'work'] as const;
      await mark(...[3, 1, 2].flatMap((at) => doings.map((after) => markAt(at, { after }))));
      const seen: string[] = [];
      for (let last = null; ; ) {
        const page = await store.marksOf(CARD, { from: 1, to: 3 }, last, 3);
        seen.push(...page.map(({ at, after }) => `${at} ${after}`));
        last = page.at(-1) ?? null;
        if (last === null) break;
      }
      expect(seen).toEqual([1, 2].flatMap((at) => doings.map((after) => `${at} ${after}`)));
    });
  });

  describe('chains', () => {
    const chain = async () => {
      const [only] = await store.chains();
      return { booked: only?.booked?.at ?? null, open: only?.open.map(({ at }) => at) };
    };

    it('are those of every card that was ever marked', async () => {
      expect(await store.chains()).toEqual([]);
      await mark(markAt(10), markAt(5, { gpu: 'GPU-2' }), markAt(5, { gpu: 'GPU-0' }));
      expect((await store.chains()).map(({ gpu }) => gpu)).toEqual(['GPU-0', CARD, 'GPU-2']);
      expect(await chain()).toEqual({ booked: null, open: [5] });
    });

    it('are booked up to where the last stretch or batch of the card ended', async () => {
      await mark(markAt(10), markAt(20), markAt(30), markAt(40));
      expect(await chain()).toEqual({ booked: null, open: [10, 20, 30, 40] });
      await store.meter({ marks: [], stretches: [stretchOf(10, 20), stretchOf(10, 90, { gpu: 'GPU-2' })] });
      expect(await chain()).toEqual({ booked: 20, open: [30, 40] });
      const entry = activeEntry('r1', 'r1-000000', 'b-1', { span: { gpu: CARD, from: 22, to: 35 } });
      await store.settle({ batchId: 'b-1', at: 36, entries: [entry], jobs: [] });
      expect(await chain()).toEqual({ booked: 30, open: [40] });
      await store.meter({ marks: [], stretches: [stretchOf(30, 40)] });
      expect(await chain()).toEqual({ booked: 40, open: [] });
    });

    it('go on from the last of several marks of one moment', async () => {
      await store.meter({
        marks: [markAt(20), markAt(20, { after: 'work', batchId: 'b-1' })],
        stretches: [stretchOf(10, 20)],
      });
      expect(await store.chains()).toMatchObject([{ booked: { at: 20, after: 'work', number: 2 }, open: [] }]);
    });
  });

  it('writes what the meters say of a batch together with it, and once', async () => {
    await store.writeRun(runWrite('r1', 1));
    const meter = {
      marks: [markAt(10, { after: 'batch', batchId: 'b-1' }), markAt(20)],
      stretches: [stretchOf(20, 30, { cause: 'between', batchId: 'b-1' })],
    };
    const settlement = { ...madeIn('b-1', 'r1', [0]), meter };
    await store.settle(settlement);
    const before = [await store.chains(), await store.ledger(ALWAYS, 0, 100), await store.sequence()];
    await store.settle(settlement);
    await store.meter(meter);
    expect([await store.chains(), await store.ledger(ALWAYS, 0, 100), await store.sequence()]).toEqual(before);
    expect(await times()).toEqual([10, 20]);
    expect((await store.ledger(ALWAYS, 0, 100)).map(({ kind }) => kind)).toEqual(['active', 'idle']);
  });

  describe('what a batch has booked', () => {
    it('are its entries and its stretches, corrections too', async () => {
      const unread = receiptOf('b-1', { energy: { joules: null, method: 'unknown', meter: 'none', flags: [] } });
      const entries = [
        activeEntry('r1', 'r1-000000', 'b-1'),
        activeEntry('r1', 'r1-000001', 'b-1', { receipt: unread }),
        activeEntry('r1', 'r1-000002', 'b-2'),
      ];
      const lost = stretchOf(0, 100, { kind: 'overhead', cause: 'lost', batchId: 'b-1', millijoules: 9_000 });
      const less = { ...lost, id: 'less', millijoules: -4_000, bound: null, corrects: lost.id };
      await store.settle({ batchId: 'b-1', at: 1, entries, jobs: [] });
      await store.meter({ marks: [], stretches: [lost, less, stretchOf(100, 200)] });
      const booked = await store.bookedOf(['b-1', 'b-2', 'b-3']);
      expect(booked).toEqual(
        new Map([
          ['b-1', { millijoules: 81_251 + 5_000, adopted: 81_251, entries: 2, lost }],
          ['b-2', { millijoules: 81_251, adopted: 81_251, entries: 1, lost: null }],
        ]),
      );
    });

    it('says which of its lost stretches its pictures were made in: the last that has energy, after its load', async () => {
      const lost = { kind: 'overhead', cause: 'lost', batchId: 'b-1' } as const;
      const load = stretchOf(0, 10, { ...lost, millijoules: 500 });
      const batch = stretchOf(10, 50, { ...lost, millijoules: 9_000 });
      const rest = stretchOf(50, 60, { ...lost, millijoules: 0 });
      await store.meter({ marks: [], stretches: [load, batch, rest] });
      expect((await store.bookedOf(['b-1'])).get('b-1')?.lost).toEqual(batch);
    });

    it('is known also of one that has only stretches, and of none that has nothing', async () => {
      expect(await store.bookedOf(['b-1'])).toEqual(new Map());
      const shared = stretchOf(0, 10, { kind: 'foreign', cause: 'shared', batchId: 'b-1' });
      await store.meter({ marks: [], stretches: [shared] });
      expect(await store.bookedOf(['b-1'])).toEqual(
        new Map([['b-1', { millijoules: 250, adopted: 0, entries: 0, lost: null }]]),
      );
    });
  });

  describe('charges and prices', () => {
    it('are booked once, and it is said how many were new', async () => {
      expect(await store.charge([chargeOf('c1'), chargeOf('c2'), chargeOf('c1')])).toBe(2);
      expect(await store.charge([chargeOf('c2', { amount: 99 }), chargeOf('c3')])).toBe(1);
      const rows = await store.ledger(ALWAYS, 0, 100);
      expect(rows.map(({ id, total_cost }) => [id, total_cost])).toEqual([
        ['c1', 10],
        ['c2', 10],
        ['c3', 10],
      ]);
    });

    it('keep what a price was when it was first named', async () => {
      const snapshot = { id: 'p1', at: 7, source: 'config', body: '{"price":0.3}' };
      expect(await store.price('p1')).toBeUndefined();
      await store.keepPrice(snapshot);
      await store.keepPrice({ ...snapshot, at: 8, body: '{"price":0.4}' });
      expect(await store.price('p1')).toEqual(snapshot);
    });
  });

  describe('rows', () => {
    const bookOne = async () => {
      await store.settle({ ...madeIn('b-1', 'r1', [0]), entries: [activeEntry('r1', 'r1-000000', 'b-1')] });
      await store.meter({ marks: [], stretches: [stretchOf(0, 10)] });
      await store.charge([chargeOf('c1')]);
    };

    it('say everything of a picture', async () => {
      await store.writeRun(runWrite('r1', 1, { tags: { kind: 'test', client: 'acme' } }));
      const energy = { joules: 3600, method: 'measured', meter: 'nvml_counter', flags: ['coarse'], bound_joules: 1.5 };
      const cost = { amount: 0.0003, currency: 'EUR', method: 'derived' } as const;
      const receipt = receiptOf('b-1', { energy: { ...energy, integral_ratio: 1.02 } as never, cost });
      const span = { gpu: CARD, from: 500, to: 900 };
      const entry = activeEntry('r1', 'r1-000000', 'b-1', { id: 'e1', receipt, span, tags: { kind: 'own' } });
      await store.settle({ ...madeIn('b-1', 'r1', [0]), entries: [entry] });
      const seq = (await store.sequence()) - 1;
      expect(await store.ledger(ALWAYS, 0, 100)).toEqual([
        {
          ...{ id: 'e1', seq, at: 1000, kind: 'active', cause: null, service: 'local', resource_type: 'electricity' },
          ...{ quantity: 0.001, unit_cost: 0.3, total_cost: 0.0003, currency: 'EUR', cost_method: 'derived' },
          ...{ energy_mj: 3_600_000, bound_mj: 1_500, energy_method: 'measured', meter: 'nvml_counter' },
          ...{ flags: ['coarse'], price: 'flat:0.3:EUR:default', run_id: 'r1', job_id: 'r1-000000', batch_id: 'b-1' },
          ...{ gpu: CARD, from_at: 500, to_at: 900, device: 'cpu', model: 'tiny', preset: 'auto', seconds: 1.25 },
          ...{ tags: { client: 'acme', kind: 'own' }, corrects: null },
        },
      ]);
      expect((await bench.rowOf('r1-000000')).receipt).toEqual(receipt);
    });

    it('say everything of a stretch and of a charge', async () => {
      const unknown = { amount: null, currency: 'EUR', method: 'unknown' } as const;
      const silent = { millijoules: null, bound: null, method: 'unknown', meter: 'none', cost: unknown } as const;
      await store.meter({
        marks: [],
        stretches: [stretchOf(0, 2_000, { kind: 'unknown', cause: 'off', flags: ['coarse'], ...silent })],
      });
      const credit = { kind: 'credit', quantity: 2, unitCost: -0.5, amount: -1, tags: { client: 'acme' } } as const;
      await store.charge([chargeOf('c1', credit)]);
      const rows = await store.ledger(ALWAYS, 0, 100);
      expect(rows).toMatchObject([
        {
          ...{ at: 2_000, kind: 'unknown', cause: 'off', service: 'electricity', resource_type: 'electricity' },
          ...{ quantity: null, unit_cost: null, total_cost: null, energy_mj: null, bound_mj: null, seconds: 2 },
          ...{
            energy_method: 'unknown',
            cost_method: 'unknown',
            flags: ['coarse'],
            gpu: CARD,
            from_at: 0,
            to_at: 2_000,
          },
          ...{ run_id: null, model: null, tags: {} },
        },
        {
          ...{ id: 'c1', at: 5_000, kind: 'credit', cause: null, service: 'midjourney', resource_type: 'subscription' },
          ...{ quantity: 2, unit_cost: -0.5, total_cost: -1, currency: 'USD', energy_mj: 0, energy_method: 'measured' },
          ...{ meter: 'invoice', flags: [], price: null, gpu: null, to_at: null, seconds: 0, tags: { client: 'acme' } },
        },
      ]);
      expect(Object.keys(rows[0] ?? {}).sort()).toEqual(Object.keys(rows[1] ?? {}).sort());
    });

    it('come in the order of their writing, in pages, and only those whose time ended in the span', async () => {
      const stretches = Array.from({ length: 9 }, (_, at) => stretchOf(at * 10, at * 10 + 10));
      await store.meter({ marks: [], stretches: stretches.toReversed() });
      await store.charge([chargeOf('before', { at: 9 }), chargeOf('first', { at: 10 }), chargeOf('after', { at: 70 })]);
      const seen: (number | string)[] = [];
      for (let after = 0; ; ) {
        const page = await store.ledger({ from: 10, to: 70 }, after, 4);
        seen.push(...page.map(({ id, to_at }) => to_at ?? id));
        if (page.length === 0) break;
        after = page.at(-1)?.seq ?? Number.NaN;
      }
      expect(seen).toEqual([70, 60, 50, 40, 30, 20, 'first']);
    });

    it('are found by their ids, whatever they are of', async () => {
      await bookOne();
      const rows = await store.ledger(ALWAYS, 0, 100);
      for (const row of rows) expect(await store.ledgerRow(row.id)).toEqual(row);
      expect(rows.map(({ kind }) => kind)).toEqual(['active', 'idle', 'charge']);
      expect(await store.ledgerRow('nothing')).toBeUndefined();
    });

    it('that were written last are handed out in the order of their writing, of all or of charges alone', async () => {
      const last = async (limit: number, of: 'all' | 'charges') =>
        (await store.lastRows(limit, of)).map(({ kind, id }) => (kind === 'charge' ? id : kind));
      expect(await last(3, 'all')).toEqual([]);
      await bookOne();
      await store.charge([chargeOf('dated earlier', { at: 1 })]);
      await store.meter({ marks: [], stretches: [stretchOf(10, 20)] });
      expect(await last(3, 'all')).toEqual(['c1', 'dated earlier', 'idle']);
      expect(await last(2, 'charges')).toEqual(['c1', 'dated earlier']);
      expect(await last(1, 'charges')).toEqual(['dated earlier']);
      expect(await last(100, 'all')).toEqual(['active', 'idle', 'c1', 'dated earlier', 'idle']);
      expect(await store.lastRows(2, 'charges')).toEqual((await store.ledger(ALWAYS, 0, 100)).slice(2, 4));
    });
  });
}
