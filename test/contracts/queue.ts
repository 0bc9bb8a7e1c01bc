import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppError, HandedBack } from '../../src/errors.ts';
import type { Job, Queue } from '../../src/ports.ts';
import { closeAll, Hands } from '../queue/hands.ts';
import { idsOf, interactive, jobOf, jobsOf, OTHER_RUN, RUN } from '../queue/samples.ts';
import { queueUntilContract } from './queue-until.ts';

const PATIENCE = { timeout: 8_000, interval: 10 };

/** What every queue promises. `make` opens an empty one. */
export function queueContract(make: () => Promise<Queue>): void {
  queueUntilContract(make);
  describe('a queue', () => {
    let queue: Queue;
    let hands: Hands;
    beforeEach(async () => {
      queue = await make();
      hands = new Hands();
    });
    afterEach(() => closeAll([queue], hands));

    const calls = (count: number): Promise<void> =>
      vi.waitFor(() => expect(hands.calls.length).toBeGreaterThanOrEqual(count), PATIENCE);
    const ids = async (): Promise<string[]> => [...(await queue.ids())].sort();
    const left = (jobs: readonly Job[]): Promise<void> =>
      vi.waitFor(async () => expect(await ids()).toEqual(idsOf(jobs)), PATIENCE);
    /** Works off what is there, one after the other, and tells the order. */
    const order = async (count: number): Promise<string[]> => {
      for (let at = 0; at < count; at += 1) {
        await calls(at + 1);
        hands.call(at).resolve();
      }
      return hands.seen;
    };

    test('hands jobs over in the order in which they were added, whole', async () => {
      const jobs = [...jobsOf(1, 12), ...jobsOf(1, 3, OTHER_RUN)];
      await queue.add(jobs.slice(0, 5));
      await queue.add(jobs.slice(5));
      queue.work(hands.handler, { window: 1 });
      expect(await order(15)).toEqual(idsOf(jobs));
      expect(hands.calls.map(({ job }) => job)).toEqual(jobs);
      await left([]);
    });

    test('leaves a job whose id it has already as it is', async () => {
      await queue.add([jobOf(1)]);
      await queue.add([{ ...jobOf(1), preset: 'another' }, jobOf(2), jobOf(2)]);
      expect(await ids()).toEqual(idsOf(jobsOf(1, 2)));
      queue.work(hands.handler, { window: 1 });
      await order(2);
      expect(hands.calls.map(({ job }) => job.preset)).toEqual(['auto', 'auto']);
    });

    test('a job that is done may be added again', async () => {
      await queue.add([jobOf(1)]);
      queue.work(hands.handler, { window: 1 });
      await order(1);
      await left([]);
      await queue.add([jobOf(1)]);
      expect(await order(2)).toEqual(idsOf([jobOf(1), jobOf(1)]));
    });

    test('never works on a job that was removed before, and ignores ids that it does not know', async () => {
      await queue.add(jobsOf(1, 4));
      await queue.remove([jobOf(2).id, jobOf(9).id, jobOf(3).id]);
      expect(await ids()).toEqual(idsOf([jobOf(1), jobOf(4)]));
      queue.work(hands.handler, { window: 1 });
      expect(await order(2)).toEqual(idsOf([jobOf(1), jobOf(4)]));
    });

    test('tells the handler of a job that is removed while it works, and the job is gone at once', async () => {
      await queue.add(jobsOf(1, 2));
      queue.work(hands.handler, { window: 2 });
      await calls(2);
      await queue.remove([jobOf(1).id]);
      expect(await ids()).toEqual([jobOf(2).id]);
      expect(hands.call(0).signal.aborted).toBe(true);
      expect(hands.call(0).signal.reason).toMatchObject({ code: 'job_removed' });
      expect(hands.call(1).signal.aborted).toBe(false);
      hands.call(0).reject(hands.call(0).signal.reason);
      hands.call(1).resolve();
      await left([]);
    });

    test('never works on one job twice at the same time', async () => {
      await queue.add([jobOf(1)]);
      queue.work(hands.handler, { window: 3 });
      await calls(1);
      await queue.remove([jobOf(1).id]);
      await queue.add(jobsOf(1, 2));
      await calls(2);
      expect(hands.seen).toEqual(idsOf(jobsOf(1, 2)));
      hands.call(0).reject(hands.call(0).signal.reason);
      await calls(3);
      expect(hands.call(2).job.id).toBe(jobOf(1).id);
    });

    test('has a job that was removed while it works again when it is added again', async () => {
      await queue.add([jobOf(1)]);
      queue.work(hands.handler, { window: 1 });
      await calls(1);
      await queue.remove([jobOf(1).id]);
      await queue.add([jobOf(1)]);
      hands.call(0).reject(hands.call(0).signal.reason);
      await calls(2);
      hands.call(1).resolve();
      await left([]);
    });

    test('puts jobs that are handed back to their old place, whatever their order', async () => {
      await queue.add(jobsOf(1, 5));
      const worker = queue.work(hands.handler, { window: 3 });
      await calls(3);
      worker.setWindow(1);
      for (const at of [1, 2, 0]) hands.call(at).reject(new HandedBack());
      for (let at = 3; at < 8; at += 1) {
        await calls(at + 1);
        hands.call(at).resolve();
      }
      expect(hands.seen.slice(3)).toEqual(idsOf(jobsOf(1, 5)));
      expect(hands.calls.map(({ behind }) => behind)).toEqual(Array(8).fill(false));
    });

    test('hands interactive jobs over before bulk ones, whatever came first', async () => {
      await queue.add(jobsOf(1, 200));
      await queue.add(jobsOf(1, 3, OTHER_RUN).map(interactive));
      queue.work(hands.handler, { window: 1 });
      expect(await order(5)).toEqual(idsOf([...jobsOf(1, 3, OTHER_RUN), ...jobsOf(1, 2)]));
      expect(hands.call(0).job).toEqual(interactive(jobOf(1, OTHER_RUN)));
    });

    test('fetches interactive jobs next that come while it works on bulk ones', async () => {
      await queue.add(jobsOf(1, 200));
      queue.work(hands.handler, { window: 2 });
      await calls(2);
      await queue.add(jobsOf(1, 3, OTHER_RUN).map(interactive));
      for (let at = 0; at < 4; at += 1) {
        hands.call(at).resolve();
        await calls(at + 3);
      }
      expect(hands.seen.slice(2)).toEqual(idsOf([...jobsOf(1, 3, OTHER_RUN), jobOf(3)]));
    });

    test('puts a job that is handed back as a suspect behind the clean ones of its priority, and says so', async () => {
      const urgent = jobsOf(1, 2, OTHER_RUN).map(interactive);
      await queue.add([...jobsOf(1, 3), ...urgent]);
      queue.work(hands.handler, { window: 1 });
      for (let at = 0; at < 7; at += 1) {
        await calls(at + 1);
        if (at === 0 || at === 3) hands.call(at).reject(new HandedBack({ behind: true }));
        else hands.call(at).resolve();
      }
      const [first = jobOf(0), second = jobOf(0)] = urgent;
      expect(hands.seen).toEqual(idsOf([first, second, first, jobOf(1), jobOf(2), jobOf(3), jobOf(1)]));
      expect(hands.calls.map(({ behind }) => behind)).toEqual([false, false, true, false, false, false, true]);
    });

    test('leaves a suspect behind the clean ones when it is handed back again, and when it is reclaimed', async () => {
      await queue.add([jobOf(1)]);
      queue.work(hands.handler, { window: 1 });
      for (const error of [new HandedBack({ behind: true }), new HandedBack()]) {
        await calls(error.behind ? 1 : 2);
        hands.call(error.behind ? 0 : 1).reject(error);
      }
      await calls(3);
      expect(hands.calls.map(({ behind }) => behind)).toEqual([false, true, true]);
      await queue.add([jobOf(2)]);
      hands.call(2).reject(new HandedBack());
      await calls(4);
      expect(hands.call(3).job.id).toBe(jobOf(2).id);
    });

    test('takes a job with any error but that out, so that its id is free', async () => {
      await queue.add(jobsOf(1, 3));
      queue.work(hands.handler, { window: 3 });
      await calls(3);
      hands.call(0).reject(new AppError('no such model', { code: 'model_missing' }));
      hands.call(1).reject(new TypeError('a bug'));
      hands.call(2).reject(new AppError('out of memory', { code: 'out_of_memory', retryable: true }));
      await left([]);
      await queue.add([jobOf(1)]);
      await calls(4);
      expect(hands.call(3).behind).toBe(false);
    });

    test('never works on more jobs than its window', async () => {
      await queue.add(jobsOf(1, 8));
      queue.work(hands.handler, { window: 3 });
      for (let done = 0; done < 8; done += 1) {
        await calls(Math.min(8, done + 3));
        expect(hands.calls.length).toBe(Math.min(8, done + 3));
        hands.call(done).resolve();
      }
      await left([]);
    });

    test('a wider window is filled while the jobs in hand go on', async () => {
      await queue.add(jobsOf(1, 6));
      const worker = queue.work(hands.handler, { window: 1 });
      await calls(1);
      worker.setWindow(4);
      await calls(4);
      expect(hands.seen).toEqual(idsOf(jobsOf(1, 4)));
    });

    test('takes no further jobs while it is held, and goes on at once after that', async () => {
      await queue.add(jobsOf(1, 6));
      const worker = queue.work(hands.handler, { window: 2 });
      await calls(2);
      worker.hold(true);
      worker.hold(true);
      worker.setWindow(4);
      hands.call(0).resolve();
      await left(jobsOf(2, 6));
      await queue.add([interactive(jobOf(7))]);
      expect(hands.calls).toHaveLength(2);
      expect(hands.call(1).signal.aborted).toBe(false);
      worker.hold(false);
      worker.hold(false);
      await calls(5);
      expect(hands.seen.slice(2)).toEqual(idsOf([jobOf(7), jobOf(3), jobOf(4)]));
    });

    test('may be held before it fetches anything, and stopped while it is held', async () => {
      const worker = queue.work(hands.handler, { window: 1 });
      worker.hold(true);
      worker.hold(false);
      worker.hold(true);
      worker.setWindow(2);
      await queue.add(jobsOf(1, 2));
      await worker.stop();
      worker.hold(false);
      expect(await ids()).toEqual(idsOf(jobsOf(1, 2)));
      expect(hands.calls).toEqual([]);
    });

    test('stops after every handler has settled, takes nothing more, and may be stopped twice', async () => {
      await queue.add(jobsOf(1, 6));
      const worker = queue.work(hands.handler, { window: 2 });
      await calls(2);
      let stopped = false;
      const stopping = Promise.all([worker.stop(), worker.stop()]).then(() => {
        stopped = true;
      });
      worker.setWindow(5);
      hands.call(1).reject(new HandedBack());
      await vi.waitFor(async () => expect(await ids()).toHaveLength(6), { timeout: 20_000, interval: 20 });
      expect(stopped).toBe(false);
      hands.call(0).resolve();
      await stopping;
      expect(hands.calls).toHaveLength(2);
      expect(await ids()).toEqual(idsOf(jobsOf(2, 6)));
    });

    test('reclaims: keeps what is asked for, in its order, and forgets the rest', async () => {
      await queue.add([...jobsOf(1, 3), ...jobsOf(1, 2, OTHER_RUN), jobOf(4)]);
      const asked: { id: string; runId: string }[] = [];
      const outcome = await queue.reclaim(({ id, runId }) => {
        asked.push({ id, runId });
        return runId === RUN;
      });
      expect(outcome).toEqual({ kept: 4, removed: 2 });
      expect(asked).toContainEqual({ id: jobOf(2, OTHER_RUN).id, runId: OTHER_RUN });
      queue.work(hands.handler, { window: 1 });
      expect(await order(4)).toEqual(idsOf(jobsOf(1, 4)));
    });

    test('reclaims nothing at all, and takes jobs again afterwards', async () => {
      await queue.add(jobsOf(1, 3));
      expect(await queue.reclaim(() => false)).toEqual({ kept: 0, removed: 3 });
      expect(await queue.reclaim(() => true)).toEqual({ kept: 0, removed: 0 });
      expect(await ids()).toEqual([]);
      await queue.add(jobsOf(2, 3));
      queue.work(hands.handler, { window: 1 });
      expect(await order(2)).toEqual(idsOf(jobsOf(2, 3)));
    });

    test('reclaims only what it was asked about: jobs that come in meanwhile stay', async () => {
      await queue.add(jobsOf(1, 3));
      const adding: Promise<void>[] = [];
      const refuseAll = () => {
        if (adding.length === 0) adding.push(queue.add(jobsOf(4, 6)));
        return false;
      };
      expect(await queue.reclaim(refuseAll)).toEqual({ kept: 0, removed: 3 });
      await Promise.all(adding);
      expect(await ids()).toEqual(idsOf(jobsOf(4, 6)));
    });

    test('has one worker at most', () => {
      queue.work(hands.handler, { window: 1 });
      expect(() => queue.work(hands.handler, { window: 1 })).toThrow(/a worker already/);
    });

    test('finds itself fit', async () => {
      expect((await queue.check()).map(({ status }) => status)).not.toContain('fail');
    });

    test('may be closed twice', async () => {
      await queue.add([jobOf(1)]);
      await queue.close();
      await queue.close();
    });
  });
}
