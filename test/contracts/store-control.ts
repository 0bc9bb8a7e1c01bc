import { beforeEach, describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import type { LearnedLimit, Measurement, Store } from '../../src/ports.ts';
import { jobOf, madeIn, newJob, runWrite } from '../store/samples.ts';
import type { StoreBench } from './store-bench.ts';

/** What befell jobs, and what one process tells another. */
export function controlPromises(open: () => StoreBench): void {
  let bench: StoreBench;
  let store: Store;

  beforeEach(() => {
    bench = open();
    store = bench.store;
  });

  const DIED = { ...CLEAN, deaths: 2, blacks: 1 };
  const waitAgain = (id: string, marks = DIED) =>
    store.settle({ batchId: 'b', at: 1, entries: [], jobs: [{ id, state: 'queued', marks }] });
  const fail = (id: string) => {
    const error = { code: 'worker_died', message: 'it died' };
    return store.settle({ batchId: 'f', at: 1, entries: [], jobs: [{ id, state: 'failed', error }] });
  };

  describe('marks', () => {
    it('are clean at first, and what the last settlement said afterwards', async () => {
      await bench.startRun('r1', 2);
      expect(await store.marks('r1-000000')).toEqual(CLEAN);
      expect(await store.marks('nobody')).toEqual(CLEAN);
      await store.markRunning(['r1-000000'], 'b-1');
      await waitAgain('r1-000000');
      expect(await store.marks('r1-000000')).toEqual(DIED);
      expect((await bench.rowOf('r1-000000')).marks).toEqual(DIED);
      expect(await store.job('r1-000000')).toMatchObject({ state: 'queued', marks: DIED, priority: 'bulk' });
    });

    it('are written also of a job that was taken out while it was made, and not of one that is done', async () => {
      await bench.startRun('r1', 2);
      await store.markRunning(['r1-000000', 'r1-000001'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [1]));
      await store.interrupt('r1', 'launch-a');
      await waitAgain('r1-000000');
      await waitAgain('r1-000001');
      expect(await bench.statesOf('r1')).toEqual(['interrupted', 'done']);
      expect(await store.marks('r1-000000')).toEqual(DIED);
      expect(await store.marks('r1-000001')).toEqual(CLEAN);
    });

    it('stay with an interrupted job that is made again, and leave one that had failed', async () => {
      await bench.startRun('r1', 2);
      for (const id of ['r1-000000', 'r1-000001']) {
        await store.markRunning([id], 'b-1');
        await waitAgain(id);
      }
      await fail('r1-000001');
      await store.interrupt('r1', 'launch-a');
      const requeue = [0, 1].map((index) => {
        const job = jobOf('r1', index);
        return { id: job.id, job, remake: false };
      });
      await store.writeRun({ ...runWrite('r1', 0), claimedFrom: 'launch-a', requeue });
      expect(await store.marks('r1-000000')).toEqual(DIED);
      expect(await store.marks('r1-000001')).toEqual(CLEAN);
    });
  });

  describe('cancelling and trying again', () => {
    it('cancels what is not settled, interrupted ones too, and names it', async () => {
      await bench.startRun('r1', 4);
      await store.markRunning(['r1-000001'], 'b-1');
      await store.settle(madeIn('b-1', 'r1', [0]));
      await fail('r1-000003');
      const ids = ['r1-000000', 'r1-000001', 'r1-000002', 'r1-000003', 'nobody'];
      expect(await store.cancel(ids)).toEqual(['r1-000001', 'r1-000002']);
      expect(await bench.statesOf('r1')).toEqual(['done', 'cancelled', 'cancelled', 'failed']);
      expect(await store.cancel(ids)).toEqual([]);
      await bench.startRun('r2', 1);
      await store.interrupt('r2', 'launch-a');
      expect(await store.cancel(['r2-000000'])).toEqual(['r2-000000']);
    });

    it('does not run a cancelled job, but keeps a picture of it that was made all the same', async () => {
      await bench.startRun('r1', 1);
      await store.cancel(['r1-000000']);
      expect(await store.markRunning(['r1-000000'], 'b-1')).toEqual([]);
      await store.settle(madeIn('b-1', 'r1', [0]));
      expect(await bench.statesOf('r1')).toEqual(['done']);
    });

    it('tries failed and cancelled jobs again, clean, without their error, and for whoever serves', async () => {
      await bench.startRun('r1', 3);
      await store.markRunning(['r1-000000'], 'b-1');
      await waitAgain('r1-000000');
      await fail('r1-000000');
      await store.cancel(['r1-000001']);
      expect(await store.retry(['r1-000000', 'r1-000001', 'r1-000002'])).toEqual(['r1-000000', 'r1-000001']);
      expect(await bench.statesOf('r1')).toEqual(['submitting', 'submitting', 'queued']);
      expect(await bench.rowOf('r1-000000')).toMatchObject({ error: null, marks: CLEAN });
      expect((await store.run('r1'))?.served).toBe(true);
    });

    it('lifts a hold of the run with it, and submits again what the hold had kept back', async () => {
      await bench.startRun('r1', 3);
      await fail('r1-000000');
      await store.hold('r1', 'black pictures');
      expect(await store.retry(['r1-000000'])).toEqual(['r1-000000']);
      expect(await bench.statesOf('r1')).toEqual(['submitting', 'submitting', 'submitting']);
      expect(await store.run('r1')).toMatchObject({ held: null, served: true });
      expect((await store.news(0)).submitted).toBe(true);
      expect(await store.markRunning(['r1-000000', 'r1-000001'], 'b-1')).toEqual(['r1-000000', 'r1-000001']);
    });

    it('leaves a hold where there was nothing to try again', async () => {
      await bench.startRun('r1', 1);
      await store.hold('r1', 'black pictures');
      expect(await store.retry(['r1-000000'])).toEqual([]);
      expect((await store.run('r1'))?.held).toBe('black pictures');
    });

    it('resumes a run: what was interrupted is submitted again, for whoever serves', async () => {
      await bench.startRun('r1', 2);
      await store.settle(madeIn('b-1', 'r1', [0]));
      await store.interrupt('r1', 'launch-a');
      expect(await store.resume('r1')).toEqual(['r1-000001']);
      expect(await bench.statesOf('r1')).toEqual(['done', 'submitting']);
      expect((await store.run('r1'))?.served).toBe(true);
    });
  });

  describe('a command that leaves its jobs', () => {
    it('takes out those that it names, and no others', async () => {
      await bench.startRun('r1', 3);
      await bench.startRun('r2', 1);
      const named = ['r1-000002', 'r1-000000', 'r2-000000', 'nobody'];
      expect([...(await store.interrupt('r1', 'launch-a', named))].sort()).toEqual(['r1-000000', 'r1-000002']);
      expect(await bench.statesOf('r1')).toEqual(['interrupted', 'queued', 'interrupted']);
      expect(await bench.statesOf('r2')).toEqual(['queued']);
      expect(await store.interrupt('r1', 'launch-a', [])).toEqual([]);
    });

    it('takes nothing out of a run that was promised to be made by whoever serves', async () => {
      await bench.startRun('r1', 2);
      await store.cancel(['r1-000000']);
      await store.retry(['r1-000000']);
      expect(await store.interrupt('r1', 'launch-a', ['r1-000000', 'r1-000001'])).toEqual([]);
      expect(await bench.statesOf('r1')).toEqual(['submitting', 'queued']);
    });
  });

  it('calls queued what the queue has, and not what was submitted since', async () => {
    await store.writeRun(runWrite('r1', 3));
    await store.markQueued('r1', ['r1-000000', 'r1-000002', 'nobody']);
    expect(await bench.statesOf('r1')).toEqual(['queued', 'submitting', 'queued']);
    await store.writeRun(runWrite('r2', 1));
    await store.markQueued('r1', ['r2-000000']);
    expect(await bench.statesOf('r2')).toEqual(['submitting']);
  });

  describe('a run that is held', () => {
    it('has nothing of it begun until it is resumed or claimed again', async () => {
      await bench.startRun('r1', 1);
      await store.hold('r1', 'black pictures');
      expect(await store.run('r1')).toMatchObject({ held: 'black pictures' });
      expect(await store.markRunning(['r1-000000'], 'b-1')).toEqual([]);
      expect(await bench.statesOf('r1')).toEqual(['queued']);
      expect(await store.resume('r1')).toEqual(['r1-000000']);
      expect((await store.news(0)).submitted).toBe(true);
      expect(await store.markRunning(['r1-000000'], 'b-2')).toEqual(['r1-000000']);
      await store.hold('r1', 'again');
      await store.writeRun({ ...runWrite('r1', 0), claimedFrom: 'launch-a' });
      expect((await store.run('r1'))?.held).toBeNull();
    });
  });

  describe('news', () => {
    it('are what others withdrew and submitted since, and whether the user paused', async () => {
      await bench.startRun('r1', 3);
      const { sequence } = await store.news(0);
      expect(sequence).toBe(await store.sequence());
      expect(await store.news(sequence)).toEqual({ sequence, withdrawn: [], submitted: false, pause: null });
      await store.cancel(['r1-000001']);
      await store.interrupt('r1', 'launch-a');
      const news = await store.news(sequence);
      expect(news.withdrawn).toEqual(['r1-000001', 'r1-000000', 'r1-000002']);
      expect(news.submitted).toBe(false);
      expect((await store.news(news.sequence)).withdrawn).toEqual([]);
    });

    it('tell of jobs for whoever serves, and not of those whose process puts them into the queue itself', async () => {
      await store.writeRun(runWrite('r1', 1));
      expect((await store.news(0)).submitted).toBe(false);
      await store.writeRun(runWrite('r2', 1, { served: true }));
      expect((await store.news(0)).submitted).toBe(true);
      await store.hold('r2', 'black');
      expect((await store.news(0)).submitted).toBe(false);
      await store.resume('r2');
      await store.markQueued('r2');
      expect((await store.news(0)).submitted).toBe(false);
    });

    it('tell of a pause at once, as it was said, and of its end', async () => {
      const before = await store.sequence();
      const pause = { since: 5, until: 10, now: true };
      await store.setPause(pause);
      const news = await store.news(before);
      expect(news.pause).toEqual(pause);
      expect(news.sequence).toBeGreaterThan(before);
      await store.setPause(null);
      expect((await store.news(0)).pause).toBeNull();
    });
  });

  it('ends a pause whose time is over, and leaves one that was said meanwhile', async () => {
    const first = { since: 5, until: 10, now: false };
    await store.setPause(first);
    await store.endPause(first);
    expect((await store.news(0)).pause).toBeNull();
    const second = { since: 9, until: null, now: true };
    await store.setPause(second);
    await store.endPause(first);
    expect((await store.news(0)).pause).toEqual(second);
    await store.endPause({ ...second, until: 20 });
    expect((await store.news(0)).pause).toEqual(second);
  });

  it('keeps who owns the data folder', async () => {
    expect(await store.owner()).toBeNull();
    await store.setOwner({ launch: 'a', serves: false });
    await store.setOwner({ launch: 'b', serves: true });
    expect(await store.owner()).toEqual({ launch: 'b', serves: true });
  });

  describe('limits', () => {
    const learned: LearnedLimit = { device: 'GPU-1', model: 'm', engine: 'auto', shape: '1024x1024', limit: 4, at: 1 };
    const limits = async () => [...(await store.limits())].sort((a, b) => a.limit - b.limit);

    it('are what was last learned of the same, and when; others are kept apart', async () => {
      await store.learn(learned);
      await store.learn({ ...learned, limit: 0, at: 2 });
      await store.learn({ ...learned, limit: 3, at: 90_000_000 });
      await store.learn({ ...learned, shape: '512x512', limit: 8 });
      expect(await limits()).toEqual([
        { ...learned, limit: 3, at: 90_000_000 },
        { ...learned, shape: '512x512', limit: 8 },
      ]);
    });

    it('are forgotten for one device or for all, and it is said how many those were', async () => {
      for (const device of ['GPU-1', 'GPU-2', 'cpu']) await store.learn({ ...learned, device });
      await store.learn({ ...learned, shape: '512x512', limit: 8 });
      expect(await store.forgetLimits('nothing')).toBe(0);
      expect(await store.forgetLimits('GPU-1')).toBe(2);
      expect((await limits()).map(({ device }) => device).sort()).toEqual(['GPU-2', 'cpu']);
      expect(await store.forgetLimits(null)).toBe(2);
      expect(await limits()).toEqual([]);
    });
  });

  describe('measurements', () => {
    const measured: Measurement = {
      device: 'GPU-1',
      model: 'm',
      engine: '0a1b2c3d4e5f',
      shape: '1024x1024+cfg',
      batch: 4,
      stepSeconds: 0.25,
      otherSeconds: 1.5,
      peakBytes: 11_000_000_000,
      count: 1,
      at: 5,
    };
    const measurements = async () =>
      [...(await store.measurements())].sort(
        (one, other) => one.batch - other.batch || one.peakBytes - other.peakBytes,
      );

    it('are the last ones of the same, whatever they say; those of another batch are kept apart', async () => {
      await store.measure(measured);
      await store.measure({ ...measured, batch: 2, peakBytes: 8_000_000_000 });
      const newer = { ...measured, stepSeconds: 0.5, otherSeconds: 1, peakBytes: 10_500_000_000, count: 7, at: 3 };
      await store.measure(newer);
      expect(await measurements()).toEqual([{ ...measured, batch: 2, peakBytes: 8_000_000_000 }, newer]);
    });

    it('are forgotten for one device or for all, and limits are not with them', async () => {
      await store.learn({ device: 'GPU-1', model: 'm', engine: '0a1b2c3d4e5f', shape: '*', limit: 0, at: 1 });
      for (const device of ['GPU-1', 'GPU-2', 'cpu']) await store.measure({ ...measured, device });
      expect(await store.forgetMeasurements('nothing')).toBe(0);
      expect(await store.forgetMeasurements('GPU-1')).toBe(1);
      expect((await measurements()).map(({ device }) => device).sort()).toEqual(['GPU-2', 'cpu']);
      expect(await store.forgetMeasurements(null)).toBe(2);
      expect([await measurements(), (await store.limits()).length]).toEqual([[], 1]);
    });
  });

  it('lists the youngest runs first', async () => {
    for (const id of ['r1', 'r2', 'r3']) await store.writeRun({ ...runWrite(id, 0), add: [newJob(jobOf(id, 0), 0)] });
    expect((await store.runs(2)).map((run) => run.id)).toEqual(['r3', 'r2']);
    expect(await store.job('r2-000007')).toBeUndefined();
  });
}
