import { beforeEach, describe, expect, it } from 'vitest';
import type { Job, Store } from '../../src/ports.ts';
import { jobOf, madeIn, newJob, runWrite } from '../store/samples.ts';
import type { StoreBench } from './store-bench.ts';

/** Runs, and the jobs in them, until they are settled. */
export function runPromises(open: () => StoreBench): void {
  let bench: StoreBench;
  let store: Store;

  beforeEach(() => {
    bench = open();
    store = bench.store;
  });

  describe('runs', () => {
    it('finds a written run by its id and by its name, with all of its jobs submitting', async () => {
      await store.writeRun(runWrite('r1', 3, { named: true, tags: { client: 'acme' } }));
      const found = await store.run('r1');
      expect(found).toEqual({
        id: 'r1',
        name: 'name of r1',
        contentKey: 'content',
        named: true,
        createdAt: bench.now(),
        launch: 'launch-a',
        served: false,
        held: null,
        outDir: '/out',
        tags: { client: 'acme' },
        counts: { submitting: 3, queued: 0, running: 0, done: 0, failed: 0, cancelled: 0, interrupted: 0 },
      });
      expect(await store.runByName('name of r1')).toEqual(found);
      expect(await store.run('r2')).toBeUndefined();
      expect(await store.runByName('r1')).toBeUndefined();
    });

    it('says of a job when it is to be made, where its run does', async () => {
      const jobs: Job[] = [{ ...jobOf('r1', 0), when: 'now' }, { ...jobOf('r1', 1), when: 'cheap' }, jobOf('r1', 2)];
      await store.writeRun({ ...runWrite('r1', 0), add: jobs.map(newJob) });
      expect((await store.jobsOf('r1')).map(({ when }) => when)).toEqual(['now', 'cheap', undefined]);
      expect(await store.payloads('r1', ['submitting'])).toEqual(jobs);
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
      const unknown = { id: 'r1-000009', job: jobOf('r1', 9), remake: false };
      const claim = { ...runWrite('r1', 0, { launch: 'launch-b' }), claimedFrom: 'launch-a' };
      await expect(store.writeRun({ ...claim, add: [good], requeue: [unknown] })).rejects.toMatchObject({
        code: 'internal',
      });
      const twice = { ...claim, add: [good, newJob(jobOf('r1', 1), 1)] };
      await expect(store.writeRun(twice)).rejects.toMatchObject({ name: 'StorageError' });
      expect((await store.run('r1'))?.launch).toBe('launch-a');
      expect(await bench.statesOf('r1')).toEqual(['queued', 'queued']);
    });

    it('names the youngest unnamed run of a content that has jobs left to make', async () => {
      await store.writeRun(runWrite('r1', 1));
      await store.writeRun(runWrite('r2', 1));
      await store.writeRun(runWrite('r3', 1, { named: true }));
      await store.writeRun(runWrite('r4', 1, { contentKey: 'other' }));
      expect((await store.interruptedRun('content'))?.id).toBe('r2');
      await store.interrupt('r2', 'launch-a');
      expect((await store.interruptedRun('content'))?.id).toBe('r2');
      await store.settle(madeIn('b-1', 'r2', [0]));
      expect((await store.interruptedRun('content'))?.id).toBe('r1');
      const failed = { id: 'r1-000000', state: 'failed' as const, error: { code: 'bad', message: 'bad' } };
      await store.settle({ batchId: 'b-2', at: 1, entries: [], jobs: [failed] });
      expect(await store.interruptedRun('content')).toBeUndefined();
    });

    it('lists the runs that have jobs on their way, oldest first', async () => {
      await bench.startRun('r2', 1);
      await store.writeRun(runWrite('r1', 1));
      await bench.startRun('r3', 1);
      await store.interrupt('r3', 'launch-a');
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
      await bench.startRun('r1', 4);
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
      await bench.startRun('r1', 2);
      await store.interrupt('r1', 'launch-a');
      await store.writeRun({
        ...runWrite('r1', 0),
        claimedFrom: 'launch-a',
        requeue: [{ id: 'r1-000001', job: jobOf('r1', 1), remake: false }],
      });
      expect(await bench.statesOf('r1')).toEqual(['interrupted', 'submitting']);
      await store.markQueued('r1');
      expect(await bench.statesOf('r1')).toEqual(['interrupted', 'queued']);
    });

    it('makes a requeued job anew: payload, path and state, without its old error', async () => {
      await bench.startRun('r1', 1);
      const error = { code: 'black_image', message: 'the picture is black' };
      await store.settle({ batchId: 'b-1', at: 1, entries: [], jobs: [{ id: 'r1-000000', state: 'failed', error }] });
      expect(await bench.rowOf('r1-000000')).toMatchObject({ state: 'failed', error });
      const job = { ...jobOf('r1', 0, { seed: 77 }), target: '/out/again.png' };
      const requeue = [{ id: job.id, job, remake: false }];
      await store.writeRun({ ...runWrite('r1', 0), claimedFrom: 'launch-a', requeue });
      expect(await bench.rowOf(job.id)).toMatchObject({
        state: 'submitting',
        error: null,
        path: '/out/again.png',
        seed: 77,
      });
      expect(await store.payloads('r1', ['submitting'])).toEqual([job]);
    });

    it('leaves a job done that became so after the plan, and makes it again only when it is to be remade', async () => {
      await bench.startRun('r1', 2);
      await store.settle(madeIn('b-1', 'r1', [0]));
      const done = await bench.rowOf('r1-000000');
      const jobs = [jobOf('r1', 0), jobOf('r1', 1)];
      const again = (remake: boolean) => ({
        ...runWrite('r1', 0),
        claimedFrom: 'launch-a',
        requeue: jobs.map((job) => ({ id: job.id, job, remake })),
      });
      await store.writeRun(again(false));
      expect(await bench.rowOf('r1-000000')).toEqual(done);
      expect(await bench.statesOf('r1')).toEqual(['done', 'submitting']);
      await store.writeRun(again(true));
      expect(await bench.statesOf('r1')).toEqual(['submitting', 'submitting']);
    });

    it('says which of the jobs that are to run are still to be made', async () => {
      await bench.startRun('r1', 5);
      await store.markRunning(['r1-000001'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.writeRun(runWrite('r2', 2));
      await store.interrupt('r2', 'launch-a');
      const ids = ['r1-000003', 'r1-000000', 'r1-000001', 'r2-000000', 'nowhere-000000'];
      expect(await store.markRunning(ids, 'b-2')).toEqual(['r1-000003', 'r1-000001']);
      expect(await bench.statesOf('r1')).toEqual(['done', 'running', 'queued', 'running', 'queued']);
      expect(await bench.statesOf('r2')).toEqual(['interrupted', 'interrupted']);
    });

    it('runs a job that the queue handed out before it was marked queued', async () => {
      await store.writeRun(runWrite('r1', 2));
      expect(await store.markRunning(['r1-000000'], 'b-1')).toEqual(['r1-000000']);
      await store.markQueued('r1');
      expect(await bench.statesOf('r1')).toEqual(['running', 'queued']);
    });

    it('takes everything that is not settled out of a run, and names it in order', async () => {
      await bench.startRun('r1', 4);
      await store.markRunning(['r1-000003', 'r1-000001'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [1]));
      expect(await store.interrupt('r1', 'launch-a')).toEqual(['r1-000000', 'r1-000002', 'r1-000003']);
      expect(await bench.statesOf('r1')).toEqual(['interrupted', 'done', 'interrupted', 'interrupted']);
      expect(await store.interrupt('r1', 'launch-a')).toEqual([]);
    });

    it('leaves a run to whoever claimed it last: the loser of a race for it takes nothing out', async () => {
      await bench.startRun('r1', 2);
      expect(await store.interrupt('r1', 'launch-b')).toEqual([]);
      await store.writeRun({ ...runWrite('r1', 0, { launch: 'launch-b' }), claimedFrom: 'launch-a' });
      expect(await store.interrupt('r1', 'launch-a')).toEqual([]);
      expect(await bench.statesOf('r1')).toEqual(['queued', 'queued']);
      expect(await store.interrupt('r1', 'launch-b')).toHaveLength(2);
    });
  });
}
