import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Queue as BullQueue } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError, ConfigError, HandedBack, InputError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue, type BullmqQueueOptions } from '../../src/queue/bullmq.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { closeAll, Hands, PATIENCE } from './hands.ts';
import { idsOf, jobOf, jobsOf, OTHER_RUN, RUN } from './samples.ts';
import { hurried, TestServer } from './server.ts';

const server = new TestServer();

let name = '';
let names = 0;
let hands: Hands;
let log: string[];
const queues: BullmqQueue[] = [];

beforeAll(() => server.start());
afterAll(() => server.close());

beforeEach(() => {
  names += 1;
  name = `queue-${names}`;
  hands = new Hands();
  log = [];
});

afterEach(() => closeAll(queues.splice(0), hands));

function open(options: Partial<BullmqQueueOptions> = {}): BullmqQueue {
  const connection = { socketPath: server.socketPath };
  const queue = new BullmqQueue({ connection, name, clock: systemClock, log: (line) => log.push(line), ...options });
  queues.push(queue);
  return queue;
}

/** Works off all that is left and tells the order; none is held. */
async function workOff(queue: BullmqQueue, window = 1): Promise<string[]> {
  const seen: string[] = [];
  const worker = queue.work(
    async (job) => {
      seen.push(job.id);
    },
    { window },
  );
  await vi.waitFor(async () => expect(await queue.ids()).toEqual([]), PATIENCE);
  await worker.stop();
  return seen;
}

/** BullMQ itself, past our queue. */
async function withBull<T>(ask: (queue: BullQueue) => Promise<T>): Promise<T> {
  const queue = new BullQueue(name, { connection: { path: server.socketPath } });
  try {
    return await ask(queue);
  } finally {
    await queue.close();
  }
}

describe('a queue on BullMQ', () => {
  it('takes 10,000 jobs at once, and removes them so', async () => {
    const queue = open();
    const jobs = jobsOf(1, 10_000);
    const started = performance.now();
    await queue.add(jobs);
    const seconds = (performance.now() - started) / 1_000;
    console.log(`10,000 jobs added in ${seconds.toFixed(2)} s`);
    expect((await queue.ids()).length).toBe(10_000);
    expect(seconds).toBeLessThan(20);
    expect(await queue.reclaim(({ id }) => id <= jobOf(100).id)).toEqual({ kept: 100, removed: 9_900 });
    await queue.add(jobs);
    const cleared = performance.now();
    expect(await queue.reclaim(() => false)).toEqual({ kept: 0, removed: 10_000 });
    const clearing = (performance.now() - cleared) / 1_000;
    console.log(`10,000 jobs removed in ${clearing.toFixed(2)} s`);
    expect(clearing).toBeLessThan(5);
  });

  it('keeps what another connection adds while it is reclaimed', async () => {
    const queue = open();
    const other = open();
    await queue.add(jobsOf(1, 2_000));
    await other.ids();
    const adding: Promise<void>[] = [];
    const addMore = async () => {
      for (let first = 1; first <= 500; first += 50) await other.add(jobsOf(first, first + 49, OTHER_RUN));
    };
    const outcome = await queue.reclaim(() => {
      if (adding.length === 0) adding.push(addMore());
      return false;
    });
    await Promise.all(adding);
    expect(outcome).toEqual({ kept: 0, removed: 2_000 });
    expect(await workOff(queue, 16)).toEqual(idsOf(jobsOf(1, 500, OTHER_RUN)));
  });

  it('leaves nothing of finished jobs behind, and bounds its events', async () => {
    const queue = open();
    await queue.add(jobsOf(1, 300));
    await workOff(queue, 16);
    const kept = await server.raw((redis) => redis.keys(`bull:${name}:${RUN}*`));
    expect(kept).toEqual([]);
    expect(await server.raw((redis) => redis.hget(`bull:${name}:meta`, 'opts.maxLenEvents'))).toBe('2000');
    await queue.reclaim(() => false);
    expect(await server.raw((redis) => redis.hget(`bull:${name}:meta`, 'opts.maxLenEvents'))).toBe('2000');
  });

  it('refuses a job that is too large before it adds any', async () => {
    const queue = open();
    const large = { ...jobOf(2), request: { ...jobOf(2).request, prompt: 'x'.repeat(70_000) } };
    await expect(queue.add([jobOf(1), large])).rejects.toThrow(InputError);
    expect(await queue.ids()).toEqual([]);
  });

  it('takes a job out that another version wrote, and says so', async () => {
    const queue = open();
    await withBull((bull) => bull.add('image', { prompt: 'a cat' }, { jobId: 'old-000001', priority: 1, attempts: 3 }));
    await queue.add([jobOf(1)]);
    expect(await workOff(queue)).toEqual([jobOf(1).id]);
    expect(log.join('\n')).toMatch(/old-000001 was taken out: it was written by another version/);
  });

  it('works a job off that the version before wrote, as a bulk one', async () => {
    const queue = open();
    const { priority: _priority, ...before } = jobOf(1);
    const written = { jobId: before.id, priority: 1_000, attempts: 3 };
    await withBull((bull) => bull.add('image', { ...before, attempt: 2 }, written));
    queue.work(hands.handler, { window: 1 });
    await hands.called(1);
    expect(hands.call(0)).toMatchObject({ job: jobOf(1), behind: false });
    expect(hands.call(0).job).not.toHaveProperty('attempt');
    hands.call(0).reject(new AppError('out of memory', { code: 'out_of_memory', retryable: true }));
    await vi.waitFor(async () => expect(await queue.ids()).toEqual([]), PATIENCE);
  });

  it('tells of a job that cannot be read before it is dropped, and keeps it while that fails', async () => {
    const queue = open();
    await withBull((bull) => bull.add('image', { prompt: 'a cat' }, { jobId: 'old-000001', priority: 1, attempts: 3 }));
    const told: { id: string; code: string; here: readonly string[] }[] = [];
    const onUnreadable = async (id: string, { code }: AppError) => {
      told.push({ id, code, here: await queue.ids() });
      if (told.length === 1) throw new AppError('the store is busy', { code: 'store_busy', retryable: true });
    };
    queue.work(hands.handler, { window: 1, onUnreadable });
    await vi.waitFor(async () => expect(await queue.ids()).toEqual([]), PATIENCE);
    const once = { id: 'old-000001', code: 'job_unreadable', here: ['old-000001'] };
    expect(told).toEqual([once, once]);
    expect(hands.calls).toEqual([]);
  });

  it('says what it takes out, but for what somebody cancelled', async () => {
    const queue = open();
    await queue.add(jobsOf(1, 2));
    queue.work(hands.handler, { window: 2 });
    await hands.called(2);
    hands.call(0).reject(new AppError('it was cancelled', { code: 'cancelled' }));
    hands.call(1).reject(new AppError('no such model', { code: 'model_missing' }));
    await vi.waitFor(async () => expect(await queue.ids()).toEqual([]), PATIENCE);
    expect(log).toEqual([`queue: ${jobOf(2).id} was taken out: no such model`]);
  });

  it('aborts the signal of a job whose lock is lost, and leaves the job to whoever has it', async () => {
    const queue = open({ lockDurationMs: 400 });
    await queue.add(jobsOf(1, 2));
    queue.work(hands.handler, { window: 2 });
    await hands.called(2);
    await server.raw((redis) => redis.set(`bull:${name}:${jobOf(1).id}:lock`, 'another worker'));
    await vi.waitFor(() => expect(hands.call(0).signal.aborted).toBe(true), PATIENCE);
    expect(hands.call(0).signal.reason).toMatchObject({ code: 'lock_lost' });
    expect(hands.call(1).signal.aborted).toBe(false);
    hands.call(0).reject(hands.call(0).signal.reason);
    hands.call(1).resolve();
    await vi.waitFor(async () => expect(await queue.ids()).toEqual([jobOf(1).id]), PATIENCE);
  });

  it('resumes a queue that was left paused', async () => {
    const queue = open();
    await queue.add([jobOf(1)]);
    await withBull((bull) => bull.pause());
    await queue.reclaim(() => true);
    expect(await workOff(queue)).toEqual([jobOf(1).id]);
  });

  it('replaces a worker that fetches nothing although jobs wait', async () => {
    const clock = new ManualClock();
    const queue = open({ clock });
    await queue.add([jobOf(1)]);
    queue.work(hands.handler, { window: 4 });
    await hands.called(1);
    await withBull((bull) => bull.setGlobalConcurrency(1));
    await queue.add(jobsOf(2, 4));
    await vi.waitFor(() => {
      clock.advance(15_000);
      expect(log.join('\n')).toMatch(/the worker is replaced/);
    }, PATIENCE);
    await withBull((bull) => bull.removeGlobalConcurrency());
    await hands.called(4);
    for (const call of hands.calls) call.resolve();
    await vi.waitFor(async () => expect(await queue.ids()).toEqual([]), PATIENCE);
    expect(hands.seen).toEqual(idsOf(jobsOf(1, 4)));
  });

  it('gives every job of a killed process exactly once, at its place, whether its lock has expired or not', async () => {
    const queue = open();
    await queue.add(jobsOf(1, 30));
    const child = spawn(
      process.execPath,
      [resolve(import.meta.dirname, 'worker-process.ts'), server.socketPath, name, '8'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const said: string[] = [];
    createInterface(child.stdout).on('line', (line) => said.push(line));
    // The window is full of held jobs: 1, 2, 4, 5, 7, 8, 10, 11; done are 3, 6 and 9.
    await vi.waitFor(() => expect(said.filter((line) => line.startsWith('holds'))).toHaveLength(8), PATIENCE);
    await vi.waitFor(async () => expect(await queue.ids()).toHaveLength(27), PATIENCE);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await server.raw((redis) => redis.rpush(`bull:${name}:active`, jobOf(99).id));
    await server.raw((redis) => redis.unlink(`bull:${name}:${jobOf(2).id}:lock`, `bull:${name}:${jobOf(10).id}:lock`));

    const kept = (id: string) => id !== jobOf(4).id && id !== jobOf(20).id;
    expect(await queue.reclaim(({ id }) => kept(id))).toEqual({ kept: 25, removed: 2 });
    const left = idsOf(jobsOf(1, 30)).filter((id) => kept(id) && !said.includes(`done ${id}`));
    expect(await workOff(queue)).toEqual(left);
  });
});

describe('a server that is lost', () => {
  it('keeps every job that it has acknowledged, and queues that were open go on by themselves', async () => {
    const lost = new TestServer();
    try {
      await lost.start();
      const queue = open({ connection: { socketPath: lost.socketPath } });
      await queue.add(jobsOf(1, 20));
      queue.work(hands.handler, { window: 2 });
      await hands.called(2);
      await queue.add(jobsOf(21, 40));
      await lost.kill();
      hands.call(0).resolve();
      const adding = queue.add(jobsOf(41, 45));
      await lost.start();
      await adding;
      hands.call(1).resolve();
      await vi.waitFor(async () => {
        for (const call of hands.calls) call.resolve();
        expect(await queue.ids()).toEqual([]);
      }, PATIENCE);
      expect(hands.seen).toEqual(idsOf(jobsOf(1, 45)));
      await queue.close();
    } finally {
      await lost.close();
    }
  });

  it('does not hold up a stop for ever', async () => {
    const lost = new TestServer();
    try {
      await lost.start();
      const queue = open({ connection: { socketPath: lost.socketPath }, clock: hurried(20) });
      await queue.add(jobsOf(1, 3));
      queue.work(hands.handler, { window: 2 });
      await hands.called(2);
      await lost.kill();
      const closed = queue.close();
      hands.call(0).resolve();
      hands.call(1).reject(new HandedBack());
      await closed;
      expect(log.join('\n')).toMatch(/did not answer; its connections are given up/);
    } finally {
      await lost.close();
    }
  });

  it('that is not there is named, without its password, in an error of its own class', async () => {
    const queue = open({ connection: { url: 'redis://me:secret@127.0.0.1:1/0' }, patienceMs: 200 });
    const failure = await queue.add([jobOf(1)]).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnavailableError);
    expect(failure).toMatchObject({
      code: 'redis_unavailable',
      message: expect.stringMatching(/Redis at 127\.0\.0\.1:1 .*ECONNREFUSED/),
    });
    expect(String(failure)).not.toContain('secret');
    await expect(queue.assertFit()).rejects.toThrow(UnavailableError);
    expect(await queue.check()).toMatchObject([{ name: 'redis', status: 'fail', mend: expect.any(String) }]);
  });
});

describe('a server that may throw jobs away', () => {
  it('is refused, and doctor says how to mend it', async () => {
    const queue = open();
    await queue.assertFit();
    await server.raw((redis) => redis.config('SET', 'maxmemory-policy', 'allkeys-lru'));
    try {
      const failure = await queue.assertFit().catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(ConfigError);
      expect(failure).toMatchObject({ code: 'redis_evicts' });
      const policy = (await queue.check()).find(({ status }) => status === 'fail');
      expect(policy).toMatchObject({
        detail: expect.stringContaining('allkeys-lru'),
        mend: expect.stringContaining('noeviction'),
      });
    } finally {
      await server.raw((redis) => redis.config('SET', 'maxmemory-policy', 'noeviction'));
    }
  });

  it('is not changed by a look', async () => {
    const keys = () => server.raw((redis) => redis.keys(`bull:${name}:*`));
    await open().check();
    await open().assertFit();
    expect(await keys()).toEqual([]);
  });
});
