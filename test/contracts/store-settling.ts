import { beforeEach, describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import type { RunWrite, Settlement, Store } from '../../src/ports.ts';
import { activeEntry, DETAILS, jobOf, madeIn, receiptOf, runWrite } from '../store/samples.ts';
import { seeded } from '../support/rng.ts';
import type { StoreBench } from './store-bench.ts';

/** What a batch leaves behind, and its sums. */
export function settlingPromises(open: () => StoreBench): void {
  let bench: StoreBench;
  let store: Store;

  beforeEach(() => {
    bench = open();
    store = bench.store;
  });

  describe('settling', () => {
    it('gives a made job its picture and its receipt, to the last digit', async () => {
      await bench.startRun('r1', 2);
      await store.settle(madeIn('b-1', 'r1', [0]));
      expect(await bench.rowOf('r1-000000')).toMatchObject({
        state: 'done',
        path: '/out/b-1/r1-000000.png',
        receipt: receiptOf('b-1'),
      });
      expect((await bench.rowOf('r1-000001')).receipt).toBeNull();
    });

    it('keeps an unknown figure unknown', async () => {
      await bench.startRun('r1', 1);
      const receipt = receiptOf('b-1', {
        peak_memory_bytes: { value: null, method: 'unknown' },
        energy: { joules: null, method: 'unknown', meter: 'none', flags: [] },
        cost: { amount: null, currency: 'EUR', method: 'unknown' },
      });
      const settlement = madeIn('b-1', 'r1', [0]);
      await store.settle({ ...settlement, entries: settlement.entries.map((entry) => ({ ...entry, receipt })) });
      expect((await bench.rowOf('r1-000000')).receipt).toEqual(receipt);
    });

    it('keeps what a receipt says beyond what older ones said', async () => {
      await bench.startRun('r1', 1);
      const receipt = receiptOf('b-1', {
        ...DETAILS,
        energy: {
          joules: 12.5,
          method: 'derived',
          meter: 'power_integral',
          flags: ['coarse', 'counter_fell'],
          bound_joules: 0.75,
          integral_ratio: 1.0125,
        },
      });
      const settlement = madeIn('b-1', 'r1', [0]);
      await store.settle({ ...settlement, entries: settlement.entries.map((entry) => ({ ...entry, receipt })) });
      expect((await bench.rowOf('r1-000000')).receipt).toEqual(receipt);
    });

    it('keeps the energy of a processor that metered itself', async () => {
      await bench.startRun('r1', 1);
      const energy = { joules: 8.125, method: 'derived', meter: 'rapl', flags: ['whole_package'] } as const;
      const receipt = receiptOf('b-1', { energy });
      const settlement = madeIn('b-1', 'r1', [0]);
      await store.settle({ ...settlement, entries: settlement.entries.map((entry) => ({ ...entry, receipt })) });
      expect((await bench.rowOf('r1-000000')).receipt).toEqual(receipt);
    });

    it('changes nothing when the same settlement is written twice, even after later ones', async () => {
      await bench.startRun('r1', 3);
      await store.markRunning(['r1-000000', 'r1-000001'], 'b-1');
      const first: Settlement = {
        ...madeIn('b-1', 'r1', [0]),
        entries: [
          activeEntry('r1', 'r1-000000', 'b-1'),
          activeEntry('r1', 'r1-000001', 'b-1', { id: 'f', kind: 'overhead', cause: 'failed' }),
        ],
        jobs: [
          { id: 'r1-000000', state: 'done', path: '/out/x.png' },
          { id: 'r1-000001', state: 'queued', marks: CLEAN },
        ],
      };
      await store.settle(first);
      await store.markRunning(['r1-000001'], 'b-2');
      const before = [await store.jobsOf('r1'), await store.totals('r1', 0), await store.sequence()];
      await store.settle(first);
      expect([await store.jobsOf('r1'), await store.totals('r1', 0), await store.sequence()]).toEqual(before);
    });

    it('counts a picture once that two launches made: the later one is overhead', async () => {
      await bench.startRun('r1', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.settle(madeIn('b-2', 'r1', [0]));
      const totals = await store.totals('r1', 0);
      expect(totals).toMatchObject({ images: 1, batches: 1, active: { joules: 81.251 }, overhead: { joules: 81.251 } });
      expect(await bench.rowOf('r1-000000')).toMatchObject({
        path: '/out/b-1/r1-000000.png',
        receipt: { batch: { id: 'b-1' } },
      });
    });

    it('never turns a done job into something else', async () => {
      await bench.startRun('r1', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      const before = await bench.rowOf('r1-000000');
      const error = { code: 'worker_died', message: 'the worker died' };
      await store.settle({ batchId: 'b-2', at: 2, entries: [], jobs: [{ id: 'r1-000000', state: 'failed', error }] });
      await store.settle({
        batchId: 'b-3',
        at: 3,
        entries: [],
        jobs: [{ id: 'r1-000000', state: 'queued', marks: CLEAN }],
      });
      await store.markRunning(['r1-000000'], 'b-4');
      await store.markQueued('r1');
      await store.interrupt('r1', 'launch-a');
      expect(await bench.rowOf('r1-000000')).toEqual(before);
    });

    it('leaves a job that was taken out of the queue where it is when its batch hands it back', async () => {
      await bench.startRun('r1', 2);
      await store.markRunning(['r1-000000', 'r1-000001'], 'b-1');
      await store.interrupt('r1', 'launch-a');
      const back = { id: 'r1-000000', state: 'queued' as const, marks: CLEAN };
      await store.settle({
        ...madeIn('b-1', 'r1', [1]),
        jobs: [back, { id: 'r1-000001', state: 'done', path: '/out/1.png' }],
      });
      expect(await bench.statesOf('r1')).toEqual(['interrupted', 'done']);
    });

    it('hands the same job back as often as it comes, even at the same moment', async () => {
      await bench.startRun('r1', 1);
      const back: Settlement = {
        batchId: 'handed-back',
        at: 5,
        entries: [],
        jobs: [{ id: 'r1-000000', state: 'queued', marks: CLEAN }],
      };
      for (const batch of ['b-1', 'b-2']) {
        await store.markRunning(['r1-000000'], batch);
        expect(await bench.statesOf('r1')).toEqual(['running']);
        await store.settle(back);
        expect(await bench.statesOf('r1')).toEqual(['queued']);
      }
    });

    it('shows no receipt while a thrown-away picture is made again, and then that of the new one', async () => {
      await bench.startRun('r1', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.writeRun(remake('r1', [0]));
      expect(await bench.rowOf('r1-000000')).toMatchObject({ state: 'submitting', receipt: null });
      await store.settle(madeIn('b-2', 'r1', [0]));
      expect(await bench.rowOf('r1-000000')).toMatchObject({
        state: 'done',
        path: '/out/b-2/r1-000000.png',
        receipt: { batch: { id: 'b-2' } },
      });
      expect(await store.totals('r1', 0)).toMatchObject({ images: 1, batches: 1, overhead: { joules: 81.251 } });
      await store.settle(madeIn('b-3', 'r1', [0]));
      expect(await bench.rowOf('r1-000000')).toMatchObject({ receipt: { batch: { id: 'b-2' } } });
    });

    it('comes to the same end however often settlements are repeated', async () => {
      for (let seed = 1; seed <= 8; seed++) {
        const random = seeded(seed);
        await bench.startRun(`once${seed}`, 6);
        await bench.startRun(`often${seed}`, 6);
        const history: { once: Settlement; often: Settlement }[] = [];
        for (let number = 0; number < 10; number++) {
          const shape = Array.from({ length: 3 }, () => [Math.floor(random() * 6), random()] as const);
          const once = anySettlement(`once${seed}`, number, shape);
          history.push({ once, often: anySettlement(`often${seed}`, number, shape) });
          await store.settle(once);
          await store.settle(history.at(-1)?.often ?? once);
          const repeated = history[Math.floor(random() * history.length)];
          if (repeated !== undefined) await store.settle(repeated.often);
        }
        const outcome = async (run: string) =>
          (await store.jobsOf(run)).map(({ index, state, error, receipt }) => [
            index,
            state,
            error,
            receipt?.batch.size,
          ]);
        expect(await outcome(`often${seed}`)).toEqual(await outcome(`once${seed}`));
        expect(await store.totals(`often${seed}`, 0)).toEqual(await store.totals(`once${seed}`, 0));
      }
    });
  });

  describe('sums', () => {
    it('are nothing, and no guess, for a run that has no entry', async () => {
      const nothing = {
        joules: 0,
        energyMethod: 'measured',
        costs: [],
        seconds: 0,
        energyUnknowns: 0,
        costUnknowns: 0,
      };
      expect(await store.totals('r1', 0)).toEqual({ images: 0, batches: 0, active: nothing, overhead: nothing });
    });

    it('take the weakest method, keep currencies apart, and count what is unknown', async () => {
      await bench.startRun('r1', 4);
      const measured = { joules: 0.001, method: 'measured', meter: 'nvml_counter', flags: [] } as const;
      const receipts = [
        receiptOf('b-1', { energy: measured, cost: { amount: 0.000000001, currency: 'USD', method: 'measured' } }),
        receiptOf('b-1', {
          energy: { ...measured, method: 'derived' },
          cost: { amount: 5_000_000.000000001, currency: 'EUR', method: 'derived' },
        }),
        receiptOf('b-1', {
          energy: { joules: null, method: 'unknown', meter: 'none', flags: [] },
          cost: { amount: null, currency: 'EUR', method: 'unknown' },
        }),
        receiptOf('b-1', { energy: measured, cost: { amount: null, currency: 'EUR', method: 'unknown' } }),
      ];
      const entries = receipts.map((receipt, index) => activeEntry('r1', jobOf('r1', index).id, 'b-1', { receipt }));
      const load = receiptOf('b-1', {
        energy: { joules: null, method: 'unknown', meter: 'none', flags: [] },
        cost: { amount: null, currency: 'EUR', method: 'unknown' },
      });
      const overhead = activeEntry('r1', '', 'b-1', {
        id: 'load',
        kind: 'overhead',
        cause: 'load',
        jobId: null,
        receipt: load,
      });
      await store.settle({ batchId: 'b-1', at: 1, entries: [...entries, overhead], jobs: [] });
      expect(await store.totals('r1', 0)).toEqual({
        images: 4,
        batches: 1,
        active: {
          joules: 0.003,
          energyMethod: 'derived',
          costs: [
            { nano: 5_000_000_000_000_001n, currency: 'EUR', method: 'derived' },
            { nano: 1n, currency: 'USD', method: 'measured' },
          ],
          seconds: 5,
          energyUnknowns: 1,
          costUnknowns: 2,
        },
        overhead: {
          joules: null,
          energyMethod: 'unknown',
          costs: [{ nano: null, currency: 'EUR', method: 'unknown' }],
          seconds: 1.25,
          energyUnknowns: 1,
          costUnknowns: 1,
        },
      });
    });

    it('hold only what was written after the given sequence, and only of this run', async () => {
      await bench.startRun('r1', 3);
      await bench.startRun('r2', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      const seq = await store.sequence();
      await store.settle(madeIn('b-2', 'r1', [1, 2]));
      await store.settle(madeIn('b-3', 'r2', [0]));
      expect(await store.totals('r1', seq)).toMatchObject({ images: 2, batches: 1, active: { joules: 162.502 } });
      expect(await store.totals('r1', 0)).toMatchObject({ images: 3, batches: 2 });
    });

    it('count a picture that was made again for whoever had it made again, once', async () => {
      await bench.startRun('r1', 3);
      await store.settle(madeIn('b-1', 'r1', [0, 1]));
      const seq = await store.sequence();
      await store.writeRun(remake('r1', [0, 1]));
      await store.settle({ ...madeIn('b-2', 'r1', [0]), jobs: [{ id: 'r1-000000', state: 'queued', marks: CLEAN }] });
      expect(await store.totals('r1', seq)).toMatchObject({ images: 0, batches: 0, overhead: { joules: 81.251 } });
      await store.settle(madeIn('b-3', 'r1', [0, 1]));
      await store.settle(madeIn('b-4', 'r1', [1, 2]));
      const costs = (nano: bigint) => [{ nano, currency: 'EUR', method: 'assumed' }];
      expect(await store.totals('r1', seq)).toMatchObject({
        images: 3,
        batches: 2,
        active: { joules: 243.753, seconds: 3.75, costs: costs(20_313n) },
        overhead: { joules: 162.502, seconds: 2.5, costs: costs(13_542n) },
      });
      expect(await store.totals('r1', 0)).toMatchObject({ images: 3, batches: 2, active: { joules: 243.753 } });
    });
  });
}

/** Has the pictures of jobs that are done made again. */
function remake(run: string, indexes: readonly number[]): RunWrite {
  const jobs = indexes.map((index) => jobOf(run, index));
  const requeue = jobs.map((job) => ({ id: job.id, job, remake: true }));
  return { ...runWrite(run, 0), claimedFrom: 'launch-a', requeue };
}

/** Made, failed or handed back, as the random numbers say; every share is booked. */
function anySettlement(
  run: string,
  number: number,
  shape: readonly (readonly [index: number, fate: number])[],
): Settlement {
  const batch = `${run}-b-${number}`;
  const drawn = [...new Map(shape).entries()];
  return {
    batchId: batch,
    at: number,
    entries: drawn.map(([index, fate]) => {
      const entry = activeEntry(run, jobOf(run, index).id, batch, {
        receipt: receiptOf(batch, { batch: { id: batch, size: number + 1 } }),
      });
      return fate < 0.4 ? entry : { ...entry, id: `${entry.id} failed`, kind: 'overhead', cause: 'failed' };
    }),
    jobs: drawn.map(([index, fate]) => {
      const { id } = jobOf(run, index);
      if (fate < 0.4) return { id, state: 'done', path: `/out/${index}.png` };
      return fate < 0.7
        ? { id, state: 'failed', error: { code: 'bad', message: `in batch ${number}` } }
        : { id, state: 'queued', marks: CLEAN };
    }),
  };
}
