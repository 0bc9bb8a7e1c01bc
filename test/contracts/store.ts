import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock, Job, JobRow, JobState, Settlement, Store } from '../../src/ports.ts';
import { activeEntry, jobOf, madeIn, newJob, randomFrom, receiptOf, runWrite } from '../store/samples.ts';

/** What every store promises. `make` opens an empty one. */
export function storeContract(make: (clock: Pick<Clock, 'now'>) => Promise<Store>): void {
  let store: Store;
  let now = 0;

  beforeEach(async () => {
    now = 1_700_000_000_000;
    store = await make({ now: () => ++now });
  });

  afterEach(() => store.close());

  const rowOf = async (id: string): Promise<JobRow> => {
    const row = (await store.jobsOf(id.slice(0, id.lastIndexOf('-')))).find((candidate) => candidate.id === id);
    if (row === undefined) throw new Error(`no job ${id}`);
    return row;
  };
  const statesOf = async (runId: string): Promise<readonly JobState[]> =>
    (await store.jobsOf(runId)).map((row) => row.state);
  const startRun = async (id: string, jobs: number): Promise<void> => {
    await store.writeRun(runWrite(id, jobs));
    await store.markQueued(id);
  };

  describe('runs', () => {
    it('finds a written run by its id and by its name, with all of its jobs submitting', async () => {
      await store.writeRun(runWrite('r1', 3, { named: true, tags: { client: 'acme' } }));
      const found = await store.run('r1');
      expect(found).toEqual({
        id: 'r1',
        name: 'name of r1',
        contentKey: 'content',
        named: true,
        createdAt: now,
        launch: 'launch-a',
        outDir: '/out',
        tags: { client: 'acme' },
        counts: { submitting: 3, queued: 0, running: 0, done: 0, failed: 0, cancelled: 0, interrupted: 0 },
      });
      expect(await store.runByName('name of r1')).toEqual(found);
      expect(await store.run('r2')).toBeUndefined();
      expect(await store.runByName('r1')).toBeUndefined();
    });

    it('writes nothing of a run whose name was just taken', async () => {
      await store.writeRun(runWrite('r1', 1));
      const before = await store.sequence();
      const second = runWrite('r2', 2, { name: 'name of r1' });
      await expect(store.writeRun(second)).rejects.toMatchObject({ name: 'InputError', code: 'run_busy' });
      expect(await store.run('r2')).toBeUndefined();
      expect(await store.jobsOf('r2')).toEqual([]);
      expect(await store.sequence()).toBe(before);
    });

    it('lets one of two launches claim a run, and refuses the other', async () => {
      await store.writeRun(runWrite('r1', 1));
      const claim = (launch: string) => ({ ...runWrite('r1', 0, { launch }), claimedFrom: 'launch-a' });
      const both = await Promise.allSettled([store.writeRun(claim('launch-b')), store.writeRun(claim('launch-c'))]);
      expect(both.map((one) => one.status)).toEqual(['fulfilled', 'rejected']);
      expect(both[1]).toMatchObject({ reason: { name: 'InputError', code: 'run_busy' } });
      expect((await store.run('r1'))?.launch).toBe('launch-b');
    });

    it('keeps the date of a run that is claimed again, and takes over what else the claim says', async () => {
      await store.writeRun(runWrite('r1', 1));
      const createdAt = (await store.run('r1'))?.createdAt;
      const claimed = { launch: 'launch-b', outDir: '/elsewhere', tags: { a: 'b' }, contentKey: 'other' };
      await store.writeRun({ ...runWrite('r1', 0, claimed), claimedFrom: 'launch-a' });
      expect(await store.run('r1')).toMatchObject({ ...claimed, createdAt });
    });

    it('refuses a new run under an id that is there, and a claim of one that is not', async () => {
      await store.writeRun(runWrite('r1', 1));
      await expect(store.writeRun(runWrite('r1', 0, { name: 'x' }))).rejects.toMatchObject({ code: 'run_busy' });
      const claim = { ...runWrite('r2', 0), claimedFrom: 'launch-a' };
      await expect(store.writeRun(claim)).rejects.toMatchObject({ code: 'run_busy' });
    });

    it('undoes the whole write when one of its jobs does not fit', async () => {
      await store.writeRun(runWrite('r1', 2));
      await store.markQueued('r1');
      const good = newJob(jobOf('r1', 2), 2);
      const unknown = { id: 'r1-000009', job: jobOf('r1', 9) };
      const claim = { ...runWrite('r1', 0, { launch: 'launch-b' }), claimedFrom: 'launch-a' };
      await expect(store.writeRun({ ...claim, add: [good], requeue: [unknown] })).rejects.toMatchObject({
        code: 'internal',
      });
      const twice = { ...claim, add: [good, newJob(jobOf('r1', 1), 1)] };
      await expect(store.writeRun(twice)).rejects.toMatchObject({ name: 'StorageError' });
      expect((await store.run('r1'))?.launch).toBe('launch-a');
      expect(await statesOf('r1')).toEqual(['queued', 'queued']);
    });

    it('names the youngest unnamed run of a content that has jobs left to make', async () => {
      await store.writeRun(runWrite('r1', 1));
      await store.writeRun(runWrite('r2', 1));
      await store.writeRun(runWrite('r3', 1, { named: true }));
      await store.writeRun(runWrite('r4', 1, { contentKey: 'other' }));
      expect((await store.interruptedRun('content'))?.id).toBe('r2');
      await store.interrupt('r2');
      expect((await store.interruptedRun('content'))?.id).toBe('r2');
      await store.settle(madeIn('b-1', 'r2', [0]));
      expect((await store.interruptedRun('content'))?.id).toBe('r1');
      const failed = { id: 'r1-000000', state: 'failed' as const, error: { code: 'bad', message: 'bad' } };
      await store.settle({ batchId: 'b-2', at: 1, entries: [], jobs: [failed] });
      expect(await store.interruptedRun('content')).toBeUndefined();
    });

    it('lists the runs that have jobs on their way, oldest first', async () => {
      await startRun('r2', 1);
      await store.writeRun(runWrite('r1', 1));
      await startRun('r3', 1);
      await store.interrupt('r3');
      expect((await store.openRuns()).map((run) => run.id)).toEqual(['r2', 'r1']);
    });
  });

  describe('jobs', () => {
    it('gives a job back exactly as it was written, in the order of the index', async () => {
      const odd: Partial<Job['request']> = {
        prompt: 'é 猫 "quoted" \\ \n\t\u0000 \ud83d\ude00 \ud800',
        seed: Number.MAX_SAFE_INTEGER,
      };
      const jobs = [jobOf('r1', 0), jobOf('r1', 1, odd)];
      const add = [newJob(jobs[1] ?? jobOf('r1', 1), 1), newJob(jobs[0] ?? jobOf('r1', 0), 0)];
      await store.writeRun({ ...runWrite('r1', 0), add });
      expect(await store.payloads('r1', ['submitting'])).toEqual(jobs);
      const rows = await store.jobsOf('r1');
      expect(rows.map((row) => row.index)).toEqual([0, 1]);
      expect(rows[1]).toMatchObject({ id: 'r1-000001', runId: 'r1', ...odd, lineKey: '1:line 1', occurrence: 0, k: 1 });
      expect(rows[1]).toMatchObject({ path: '/out/r1/1.png', state: 'submitting', error: null, receipt: null });
    });

    it('gives the payloads of the states that were asked for, and of no others', async () => {
      await startRun('r1', 4);
      await store.markRunning(['r1-000002'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [0]));
      expect((await store.payloads('r1', ['queued', 'running'])).map((job) => job.id)).toEqual([
        'r1-000001',
        'r1-000002',
        'r1-000003',
      ]);
      expect(await store.payloads('r1', ['cancelled'])).toEqual([]);
      expect(await store.payloads('r1', [])).toEqual([]);
    });

    it('moves only submitting jobs to queued', async () => {
      await startRun('r1', 2);
      await store.interrupt('r1');
      await store.writeRun({
        ...runWrite('r1', 0),
        claimedFrom: 'launch-a',
        requeue: [{ id: 'r1-000001', job: jobOf('r1', 1) }],
      });
      expect(await statesOf('r1')).toEqual(['interrupted', 'submitting']);
      await store.markQueued('r1');
      expect(await statesOf('r1')).toEqual(['interrupted', 'queued']);
    });

    it('makes a requeued job anew: payload, path and state, without its old error', async () => {
      await startRun('r1', 1);
      const error = { code: 'black_image', message: 'the picture is black' };
      await store.settle({ batchId: 'b-1', at: 1, entries: [], jobs: [{ id: 'r1-000000', state: 'failed', error }] });
      expect(await rowOf('r1-000000')).toMatchObject({ state: 'failed', error });
      const job = { ...jobOf('r1', 0, { seed: 77 }), target: '/out/again.png', attempt: 0 };
      await store.writeRun({ ...runWrite('r1', 0), claimedFrom: 'launch-a', requeue: [{ id: job.id, job }] });
      expect(await rowOf(job.id)).toMatchObject({ state: 'submitting', error: null, path: '/out/again.png', seed: 77 });
      expect(await store.payloads('r1', ['submitting'])).toEqual([job]);
    });

    it('says which of the jobs that are to run are still to be made', async () => {
      await startRun('r1', 5);
      await store.markRunning(['r1-000001'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.writeRun(runWrite('r2', 2));
      await store.interrupt('r2');
      const ids = ['r1-000003', 'r1-000000', 'r1-000001', 'r2-000000', 'nowhere-000000'];
      expect(await store.markRunning(ids, 'b-2')).toEqual(['r1-000003', 'r1-000001']);
      expect(await statesOf('r1')).toEqual(['done', 'running', 'queued', 'running', 'queued']);
      expect(await statesOf('r2')).toEqual(['interrupted', 'interrupted']);
    });

    it('runs a job that the queue handed out before it was marked queued', async () => {
      await store.writeRun(runWrite('r1', 2));
      expect(await store.markRunning(['r1-000000'], 'b-1')).toEqual(['r1-000000']);
      await store.markQueued('r1');
      expect(await statesOf('r1')).toEqual(['running', 'queued']);
    });

    it('takes everything that is not settled out of a run, and names it in order', async () => {
      await startRun('r1', 4);
      await store.markRunning(['r1-000003', 'r1-000001'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [1]));
      expect(await store.interrupt('r1')).toEqual(['r1-000000', 'r1-000002', 'r1-000003']);
      expect(await statesOf('r1')).toEqual(['interrupted', 'done', 'interrupted', 'interrupted']);
      expect(await store.interrupt('r1')).toEqual([]);
    });
  });

  describe('what changed', () => {
    it('numbers every change higher than the sequence that was read before it', async () => {
      await startRun('r1', 2);
      const steps: (() => Promise<unknown>)[] = [
        () => store.markRunning(['r1-000000'], 'b-1'),
        () => store.settle(madeIn('b-1', 'r1', [0])),
        () => store.interrupt('r1'),
      ];
      for (const step of steps) {
        const before = await store.sequence();
        await step();
        const changed = await store.changedSince('r1', before);
        expect(changed).toHaveLength(1);
        expect(changed[0]?.seq).toBeGreaterThan(before);
        expect(await store.changedSince('r1', await store.sequence())).toEqual([]);
      }
    });

    it('hands changes out oldest first, in pages that miss none and repeat none', async () => {
      await startRun('r1', 7);
      await store.markRunning(['r1-000004', 'r1-000000'], 'b-1');
      const seen: string[] = [];
      for (let seq = 0; ; ) {
        const page = await store.changedSince('r1', seq, 3);
        if (page.length === 0) break;
        expect(page.length).toBeLessThanOrEqual(3);
        seen.push(...page.map((row) => row.id.slice(-1)));
        seq = page.at(-1)?.seq ?? Number.NaN;
      }
      expect(seen).toEqual(['1', '2', '3', '5', '6', '4', '0']);
    });

    it('tells a follower of one run nothing of another', async () => {
      await startRun('r1', 1);
      const before = await store.sequence();
      await startRun('r2', 1);
      expect(await store.changedSince('r1', before)).toEqual([]);
    });
  });

  describe('settling', () => {
    it('gives a made job its picture and its receipt, to the last digit', async () => {
      await startRun('r1', 2);
      await store.settle(madeIn('b-1', 'r1', [0]));
      expect(await rowOf('r1-000000')).toMatchObject({
        state: 'done',
        path: '/out/b-1/r1-000000.png',
        receipt: receiptOf('b-1'),
      });
      expect((await rowOf('r1-000001')).receipt).toBeNull();
    });

    it('keeps an unknown figure unknown', async () => {
      await startRun('r1', 1);
      const receipt = receiptOf('b-1', {
        peak_memory_bytes: { value: null, method: 'unknown' },
        energy: { joules: null, method: 'unknown', meter: 'none', flags: [] },
        cost: { amount: null, currency: 'EUR', method: 'unknown' },
      });
      const settlement = madeIn('b-1', 'r1', [0]);
      await store.settle({ ...settlement, entries: settlement.entries.map((entry) => ({ ...entry, receipt })) });
      expect((await rowOf('r1-000000')).receipt).toEqual(receipt);
    });

    it('changes nothing when the same settlement is written twice, even after later ones', async () => {
      await startRun('r1', 3);
      await store.markRunning(['r1-000000', 'r1-000001'], 'b-1');
      const first: Settlement = {
        ...madeIn('b-1', 'r1', [0]),
        entries: [
          activeEntry('r1', 'r1-000000', 'b-1'),
          activeEntry('r1', 'r1-000001', 'b-1', { id: 'f', kind: 'overhead', cause: 'failed' }),
        ],
        jobs: [
          { id: 'r1-000000', state: 'done', path: '/out/x.png' },
          { id: 'r1-000001', state: 'queued' },
        ],
      };
      await store.settle(first);
      await store.markRunning(['r1-000001'], 'b-2');
      const before = [await store.jobsOf('r1'), await store.totals('r1', 0), await store.sequence()];
      await store.settle(first);
      expect([await store.jobsOf('r1'), await store.totals('r1', 0), await store.sequence()]).toEqual(before);
    });

    it('counts a picture once that two launches made: the later one is overhead', async () => {
      await startRun('r1', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.settle(madeIn('b-2', 'r1', [0]));
      const totals = await store.totals('r1', 0);
      expect(totals).toMatchObject({ images: 1, batches: 1, active: { joules: 81.251 }, overhead: { joules: 81.251 } });
      expect(await rowOf('r1-000000')).toMatchObject({
        path: '/out/b-1/r1-000000.png',
        receipt: { batch: { id: 'b-1' } },
      });
    });

    it('never turns a done job into something else', async () => {
      await startRun('r1', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      const before = await rowOf('r1-000000');
      const error = { code: 'worker_died', message: 'the worker died' };
      await store.settle({ batchId: 'b-2', at: 2, entries: [], jobs: [{ id: 'r1-000000', state: 'failed', error }] });
      await store.settle({ batchId: 'b-3', at: 3, entries: [], jobs: [{ id: 'r1-000000', state: 'queued' }] });
      await store.markRunning(['r1-000000'], 'b-4');
      await store.markQueued('r1');
      await store.interrupt('r1');
      expect(await rowOf('r1-000000')).toEqual(before);
    });

    it('leaves a job that was taken out of the queue where it is when its batch hands it back', async () => {
      await startRun('r1', 2);
      await store.markRunning(['r1-000000', 'r1-000001'], 'b-1');
      await store.interrupt('r1');
      const back = { id: 'r1-000000', state: 'queued' as const };
      await store.settle({
        ...madeIn('b-1', 'r1', [1]),
        jobs: [back, { id: 'r1-000001', state: 'done', path: '/out/1.png' }],
      });
      expect(await statesOf('r1')).toEqual(['interrupted', 'done']);
    });

    it('hands the same job back as often as it comes, even at the same moment', async () => {
      await startRun('r1', 1);
      const back: Settlement = {
        batchId: 'handed-back',
        at: 5,
        entries: [],
        jobs: [{ id: 'r1-000000', state: 'queued' }],
      };
      for (const batch of ['b-1', 'b-2']) {
        await store.markRunning(['r1-000000'], batch);
        expect(await statesOf('r1')).toEqual(['running']);
        await store.settle(back);
        expect(await statesOf('r1')).toEqual(['queued']);
      }
    });

    it('shows no receipt while a thrown-away picture is made again, and then the first one', async () => {
      await startRun('r1', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.writeRun({
        ...runWrite('r1', 0),
        claimedFrom: 'launch-a',
        requeue: [{ id: 'r1-000000', job: jobOf('r1', 0) }],
      });
      expect(await rowOf('r1-000000')).toMatchObject({ state: 'submitting', receipt: null });
      await store.settle(madeIn('b-2', 'r1', [0]));
      expect(await rowOf('r1-000000')).toMatchObject({
        state: 'done',
        path: '/out/b-2/r1-000000.png',
        receipt: { batch: { id: 'b-1' } },
      });
      expect(await store.totals('r1', 0)).toMatchObject({ images: 1, overhead: { joules: 81.251 } });
    });

    it('comes to the same end however often settlements are repeated', async () => {
      for (let seed = 1; seed <= 8; seed++) {
        const random = randomFrom(seed);
        await startRun(`once${seed}`, 6);
        await startRun(`often${seed}`, 6);
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
      const nothing = { joules: 0, energyMethod: 'measured', costs: [], seconds: 0, unknowns: 0 };
      expect(await store.totals('r1', 0)).toEqual({ images: 0, batches: 0, active: nothing, overhead: nothing });
    });

    it('take the weakest method, keep currencies apart, and count what is unknown', async () => {
      await startRun('r1', 4);
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
        images: 3,
        batches: 1,
        active: {
          joules: 0.002,
          energyMethod: 'derived',
          costs: [
            { nano: 5_000_000_000_000_001n, currency: 'EUR', method: 'derived' },
            { nano: 1n, currency: 'USD', method: 'measured' },
          ],
          seconds: 3.75,
          unknowns: 1,
        },
        overhead: {
          joules: null,
          energyMethod: 'unknown',
          costs: [{ nano: null, currency: 'EUR', method: 'unknown' }],
          seconds: 1.25,
          unknowns: 1,
        },
      });
    });

    it('hold only what was written after the given sequence, and only of this run', async () => {
      await startRun('r1', 3);
      await startRun('r2', 1);
      await store.settle(madeIn('b-1', 'r1', [0]));
      const seq = await store.sequence();
      await store.settle(madeIn('b-2', 'r1', [1, 2]));
      await store.settle(madeIn('b-3', 'r2', [0]));
      expect(await store.totals('r1', seq)).toMatchObject({ images: 2, batches: 1, active: { joules: 162.502 } });
      expect(await store.totals('r1', 0)).toMatchObject({ images: 3, batches: 2 });
    });
  });

  it('answers no call after it was closed, and may be closed twice', async () => {
    const last = store.sequence();
    await store.close();
    await store.close();
    expect(await last).toBe(0);
    await expect(store.sequence()).rejects.toMatchObject({ name: 'StorageError', code: 'store_closed' });
    await expect(store.writeRun(runWrite('r1', 1))).rejects.toMatchObject({ code: 'store_closed' });
  });
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
        : { id, state: 'queued' };
    }),
  };
}
