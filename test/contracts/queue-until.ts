import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { HandedBack } from '../../src/errors.ts';
import type { Queue } from '../../src/ports.ts';
import { closeAll, Hands } from '../queue/hands.ts';
import { idsOf, interactive, jobOf, jobsOf, OTHER_RUN, RUN } from '../queue/samples.ts';

const HOUR = 3_600_000;

/** What every queue promises of jobs that are handed back until a time. `make` opens an empty one. */
export function queueUntilContract(make: () => Promise<Queue>): void {
  describe('a queue with jobs that are handed back until a time', () => {
    let queue: Queue;
    let hands: Hands;
    beforeEach(async () => {
      queue = await make();
      hands = new Hands();
    });
    afterEach(() => closeAll([queue], hands));

    const ids = async (): Promise<string[]> => [...(await queue.ids())].sort();
    const later = (until = Date.now() + HOUR): HandedBack => new HandedBack({ until });
    /** Hands the next `count` back, once they are here. */
    const sendBack = async (from: number, count: number, error = later()): Promise<void> => {
      for (let at = from; at < from + count; at += 1) {
        await hands.called(at + 1);
        hands.call(at).reject(error);
      }
    };
    /** Resolves when all but these are out of the hands: one more job, worked off, says so. */
    const quiet = async (index: number): Promise<void> => {
      const before = hands.calls.length;
      await queue.add([jobOf(index, OTHER_RUN)]);
      await hands.called(before + 1);
      hands.call(before).resolve();
      await vi.waitFor(async () => expect(await ids()).not.toContain(jobOf(index, OTHER_RUN).id));
      expect(hands.calls).toHaveLength(before + 1);
    };

    test('keeps them among its ids, and lets others through at once', async () => {
      await queue.add(jobsOf(1, 5));
      queue.work(hands.handler, { window: 2 });
      await sendBack(0, 5);
      expect(await ids()).toEqual(idsOf(jobsOf(1, 5)));
      await queue.add([interactive(jobOf(1, OTHER_RUN)), jobOf(2, OTHER_RUN)]);
      await hands.called(7);
      expect(hands.seen.slice(5)).toEqual(idsOf(jobsOf(1, 2, OTHER_RUN)));
    });

    test('hands them over again, whole, when the time has come', async () => {
      const jobs = jobsOf(1, 3).map((job) => ({ ...job, when: 'cheap' as const }));
      await queue.add(jobs);
      queue.work(hands.handler, { window: 3 });
      await hands.called(3);
      const time = Date.now() + 300;
      await sendBack(0, 3, later(time));
      for (const at of [3, 4, 5]) {
        await hands.called(at + 1);
        hands.call(at).resolve();
      }
      expect(Date.now()).toBeGreaterThanOrEqual(time);
      expect(hands.calls.slice(3).map(({ job }) => job)).toEqual(jobs);
      await vi.waitFor(async () => expect(await ids()).toEqual([]));
    });

    test('hands one over at once whose time is over', async () => {
      await queue.add([jobOf(1)]);
      queue.work(hands.handler, { window: 1 });
      await sendBack(0, 1, later(Date.now() - HOUR));
      await hands.called(2);
      expect(hands.seen).toEqual(idsOf([jobOf(1), jobOf(1)]));
    });

    test('has all of them wait at once when it is told to, in the order of handing back', async () => {
      await queue.add(jobsOf(1, 4));
      queue.work(hands.handler, { window: 1 });
      await sendBack(0, 4);
      await quiet(9);
      await queue.promote();
      for (const at of [5, 6, 7, 8]) {
        await hands.called(at + 1);
        hands.call(at).resolve();
      }
      expect(hands.seen.slice(5)).toEqual(idsOf(jobsOf(1, 4)));
      await queue.promote();
    });

    test('keeps the level of a suspect while it waits', async () => {
      await queue.add([jobOf(1)]);
      queue.work(hands.handler, { window: 1 });
      await sendBack(0, 1, new HandedBack({ behind: true, until: Date.now() + HOUR }));
      await quiet(9);
      await queue.promote();
      await hands.called(3);
      expect(hands.call(2).behind).toBe(true);
    });

    test('removes one that waits, whose id is free then', async () => {
      await queue.add(jobsOf(1, 3));
      queue.work(hands.handler, { window: 1 });
      await sendBack(0, 3);
      await quiet(9);
      await queue.remove([jobOf(2).id]);
      expect(await ids()).toEqual(idsOf([jobOf(1), jobOf(3)]));
      await queue.add(jobsOf(1, 3));
      await hands.called(5);
      expect(hands.seen.slice(4)).toEqual([jobOf(2).id]);
    });

    test('reclaims: all that is asked for waits at once, and the rest is gone', async () => {
      await queue.add([...jobsOf(1, 2), ...jobsOf(1, 2, OTHER_RUN)]);
      queue.work(hands.handler, { window: 1 });
      await sendBack(0, 4);
      await quiet(9);
      expect(await queue.reclaim(({ runId }) => runId === RUN)).toEqual({ kept: 2, removed: 2 });
      expect(await ids()).toEqual(idsOf(jobsOf(1, 2)));
      await hands.called(6);
      expect(hands.call(5).job).toEqual(jobOf(1));
    });

    test('stops while they wait, and keeps them', async () => {
      await queue.add(jobsOf(1, 2));
      const worker = queue.work(hands.handler, { window: 2 });
      await sendBack(0, 2);
      await worker.stop();
      expect(await ids()).toEqual(idsOf(jobsOf(1, 2)));
    });
  });
}
