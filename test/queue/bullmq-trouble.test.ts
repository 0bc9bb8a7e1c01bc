import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Queue as BullQueue } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HandedBack } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue, type BullmqQueueOptions } from '../../src/queue/bullmq.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON } from '../support/python.ts';
import { FaultyProxy } from './faulty-proxy.ts';
import { closeAll, Hands, PATIENCE } from './hands.ts';
import { idsOf, interactive, jobOf, jobsOf } from './samples.ts';
import { hurried, limitedServer, TestServer } from './server.ts';

/** An answer that hands a job over. */
const A_JOB = /modelPath/;

let server: TestServer;
let proxy: FaultyProxy;
let hands: Hands;
let log: string[];
let queue: BullmqQueue;

beforeEach(async () => {
  server = new TestServer();
  await server.start();
  proxy = new FaultyProxy(server.socketPath);
  await proxy.start();
  hands = new Hands();
  log = [];
});

afterEach(async () => {
  await closeAll([queue], hands);
  proxy.close();
  await server.close();
});

function open(options: Partial<BullmqQueueOptions> = {}): BullmqQueue {
  const connection = { socketPath: proxy.socketPath };
  queue = new BullmqQueue({ connection, name: 'q', clock: systemClock, log: (line) => log.push(line), ...options });
  return queue;
}

/** Settles whatever comes until nothing is left. */
async function workOff(): Promise<void> {
  await vi.waitFor(async () => {
    for (const call of hands.calls) call.resolve();
    expect(await queue.ids()).toEqual([]);
  }, PATIENCE);
}

/**
 * Seen as a run that stood still for half a minute after its Valkey had been killed: the server had carried out a
 * fetch and was killed before its answer was out. The Worker asked again and got the next job; the first one was
 * active under the Worker's own lock, in nobody's hands, until that ran out. Here the answer is lost for certain.
 */
describe('a job that was handed over and never arrived', () => {
  it('comes again long before its lock runs out, which has half a minute', async () => {
    open({ clock: hurried(4) });
    await queue.add(jobsOf(1, 3));
    const lost = proxy.loseAnswer(A_JOB);
    queue.work(hands.handler, { window: 1 });
    await lost;
    await workOff();
    expect([...hands.seen].sort()).toEqual(idsOf(jobsOf(1, 3)));
    expect(log.join('\n')).toMatch(/handed over and never arrived wait again \(1\)/);
  });

  it('comes again also where it was handed over with the completion of the one before, which counts once', async () => {
    open({ clock: hurried(4) });
    await queue.add(jobsOf(1, 3));
    queue.work(hands.handler, { window: 1 });
    await hands.called(1);
    const lost = proxy.loseAnswer(A_JOB);
    hands.call(0).resolve();
    await lost;
    await workOff();
    expect([...hands.seen].sort()).toEqual(idsOf(jobsOf(1, 3)));
    expect(log.join('\n')).not.toMatch(/Missing/);
  });

  it('is not confused with one that has arrived and waits for its turn', async () => {
    open({ clock: hurried(40) });
    await queue.add(jobsOf(1, 300));
    queue.work(hands.handler, { window: 256 });
    await hands.called(256);
    await workOff();
    expect(hands.seen).toEqual(idsOf(jobsOf(1, 300)));
    expect(log).toEqual([]);
  });
});

describe('connections that are dead without a word', () => {
  it('are made anew, and every job is worked once', async () => {
    open({ answerLimitMs: 300 });
    await queue.add(jobsOf(1, 20));
    queue.work(hands.handler, { window: 2 });
    await hands.called(2);
    proxy.deafen();
    hands.call(0).resolve();
    await hands.called(3);
    await workOff();
    expect(hands.seen).toEqual(idsOf(jobsOf(1, 20)));
  });

  it('are noticed also while nothing is to be fetched', async () => {
    open({ answerLimitMs: 300, clock: hurried(10) });
    await queue.add([jobOf(1)]);
    queue.work(hands.handler, { window: 1 });
    await hands.called(1);
    proxy.deafen();
    await vi.waitFor(() => expect(log.join('\n')).toMatch(/Socket timeout/), PATIENCE);
    await workOff();
  });
});

describe('a worker that fetches nothing although jobs wait', () => {
  let clock: ManualClock;
  const replaced = () => log.filter((line) => /the worker is replaced/.test(line)).length;
  /** Each look has been answered before the next one. */
  const pass = async (seconds: number) => {
    for (let passed = 0; passed < seconds; passed += 2) {
      clock.advance(2_000);
      await queue.ids();
      await queue.ids();
    }
  };
  const withBull = async (ask: (bull: BullQueue) => Promise<unknown>) => {
    const bull = new BullQueue('q', { connection: { path: server.socketPath } });
    await ask(bull);
    await bull.close();
  };

  it('is replaced, unless it is full, on hold, or has only just been free again', async () => {
    clock = new ManualClock();
    open({ clock });
    await queue.add(jobsOf(1, 6));
    const worker = queue.work(hands.handler, { window: 2 });
    await hands.called(2);
    await withBull((bull) => bull.setGlobalConcurrency(1));
    await pass(120);
    hands.call(0).resolve();
    await vi.waitFor(async () => expect(await queue.ids()).toHaveLength(5), PATIENCE);
    await pass(20);
    worker.hold(true);
    await pass(120);
    worker.hold(false);
    await pass(20);
    expect(replaced()).toBe(0);
    await pass(12);
    expect(replaced()).toBe(1);
    await withBull((bull) => bull.removeGlobalConcurrency());
    await workOff();
    expect(hands.seen).toEqual(idsOf(jobsOf(1, 6)));
  });

  /** Seen with somebody who pressed Pause in Bull Board: the worker was replaced every half minute, and nothing was made. */
  it('is not replaced where another program has paused the queue, which goes on', async () => {
    clock = new ManualClock();
    open({ clock });
    await queue.add([jobOf(1)]);
    queue.work(hands.handler, { window: 2 });
    await hands.called(1);
    await withBull((bull) => bull.pause());
    await queue.add(jobsOf(2, 3));
    await pass(40);
    await hands.called(2);
    await workOff();
    expect(log).toEqual(['queue: another program had paused it; it goes on']);
    expect(hands.seen).toEqual(idsOf(jobsOf(1, 3)));
  });
});

describe('a stop', () => {
  it('hands a window of 256 back, in its order', async () => {
    open();
    const bulk = jobsOf(1, 200);
    const urgent = jobsOf(201, 300).map(interactive);
    await queue.add([...bulk, ...urgent]);
    const worker = queue.work(hands.handler, { window: 256 });
    await hands.called(256);
    const began = performance.now();
    const stopped = worker.stop();
    for (const call of hands.calls.toReversed()) call.reject(new HandedBack());
    await stopped;
    const took = performance.now() - began;
    console.log(`256 jobs handed back in ${Math.round(took)} ms`);
    expect(took).toBeLessThan(20_000);
    const again = new BullmqQueue({
      connection: { socketPath: server.socketPath },
      name: 'q',
      clock: systemClock,
      log: () => {},
    });
    const order: string[] = [];
    again.work(async (job) => void order.push(job.id), { window: 1 });
    await vi.waitFor(() => expect(order).toHaveLength(300), PATIENCE);
    await again.close();
    expect(order).toEqual(idsOf([...urgent, ...bulk]));
  });
});

describe('a server that is away', () => {
  it('for longer than the locks last: every job is worked to its end, none twice at a time', async () => {
    open({ lockDurationMs: 800, awayAfterMs: 300 });
    await queue.add(jobsOf(1, 40));
    const away: boolean[] = [];
    const working = new Set<string>();
    const done = new Set<string>();
    const kept: boolean[] = [];
    let doubled = 0;
    const handler: typeof hands.handler = async (job, delivery) => {
      if (working.has(job.id)) doubled += 1;
      working.add(job.id);
      await hands.handler(job, delivery);
      working.delete(job.id);
      done.add(job.id);
    };
    queue.work(handler, { window: 8, onAway: (is) => away.push(is) });
    await hands.called(8);
    await server.kill();
    await vi.waitFor(() => expect(away).toEqual([true]), PATIENCE);
    for (const at of [0, 1, 2, 3]) hands.call(at).resolve();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    await server.start();
    await vi.waitFor(() => expect(away).toEqual([true, false]), PATIENCE);
    for (const at of [4, 5, 6, 7]) kept.push(!hands.call(at).signal.aborted);
    await workOff();
    expect(doubled).toBe(0);
    expect([...done].sort()).toEqual(idsOf(jobsOf(1, 40)));
    // What was under way all the time is still ours.
    expect(kept).toEqual([true, true, true, true]);
    expect(away).toEqual([true, false]);
    const seenTwice = hands.seen.filter((id, at) => hands.seen.indexOf(id) !== at);
    expect(seenTwice.every((id) => idsOf(jobsOf(1, 4)).includes(id))).toBe(true);
  });

  it('for a moment only is not told of', async () => {
    open({ awayAfterMs: 5_000 });
    await queue.add(jobsOf(1, 4));
    const away: boolean[] = [];
    queue.work(hands.handler, { window: 2, onAway: (is) => away.push(is) });
    await hands.called(2);
    await server.kill();
    await server.start();
    await workOff();
    expect(away).toEqual([]);
  });
});

describe('a server that takes no writes', () => {
  it('since it became a replica is told of once and left alone until it does', async () => {
    await ridesOut(
      /READONLY/,
      () => server.raw((redis) => redis.replicaof('127.0.0.1', 1)),
      () => server.raw((redis) => redis.replicaof('NO', 'ONE')),
    );
  });

  it('since it cannot save them is told of once and left alone until it does', async () => {
    const limit = join(server.root, 'limit');
    writeFileSync(limit, 'unlimited');
    await server.kill();
    const { pid } = await server.start(systemClock, await limitedServer(server.root, limit));
    // As many a Redis of somebody else is set; our own one would rather end.
    await server.raw((redis) => redis.config('SET', 'appendfsync', 'everysec'));
    await ridesOut(
      /MISCONF/,
      async () => {
        allowFiles(pid, 1);
        await vi.waitFor(
          () => expect(server.raw((redis) => redis.set('more', 'x'))).rejects.toThrow(/MISCONF/),
          PATIENCE,
        );
      },
      async () => {
        allowFiles(pid, -1);
        await vi.waitFor(() => server.raw((redis) => redis.set('more', 'x')), PATIENCE);
      },
    );
  });

  it('for want of memory is named so by the command that needed it', async () => {
    open({ patienceMs: 300 });
    await server.raw((redis) => redis.config('SET', 'maxmemory', '1'));
    await expect(queue.add([jobOf(1)])).rejects.toThrow(/takes no writes \(OOM .*\); look at its disk and memory/);
    await server.raw((redis) => redis.config('SET', 'maxmemory', '0'));
    await queue.add([jobOf(1)]);
  });

  async function ridesOut(said: RegExp, refuse: () => Promise<unknown>, accept: () => Promise<unknown>): Promise<void> {
    let silent = 0;
    const onSilent = () => {
      silent += 1;
    };
    open({ clock: hurried(10), patienceMs: 100_000, onSilent, silentAfterMs: 3_000 });
    await queue.add(jobsOf(1, 4));
    queue.work(hands.handler, { window: 1 });
    await hands.called(1);
    await refuse();
    hands.call(0).resolve();
    const adding = queue.add([jobOf(5)]);
    await vi.waitFor(() => expect(log.join('\n')).toMatch(said), PATIENCE);
    const asked = await askedIn(1_000);
    const told = log.filter((line) => said.test(line)).length;
    await accept();
    await adding;
    await workOff();
    expect([...new Set(hands.seen)].sort()).toEqual(idsOf(jobsOf(1, 5)));
    expect(told).toBe(1);
    // A refusal is an answer: nothing would be mended by ending such a server.
    expect(silent).toBe(0);
    expect(asked).toBeLessThan(100_000);
  }

  /** The size of any file of a running process, in bytes; -1 for no limit. */
  function allowFiles(pid: number, bytes: number): void {
    const script = `import resource; resource.prlimit(${pid}, resource.RLIMIT_FSIZE, (${bytes}, -1))`;
    execFileSync(PYTHON, ['-c', script]);
  }

  /** How many bytes of commands the server gets meanwhile, to see that nothing spins. */
  async function askedIn(ms: number): Promise<number> {
    const count = () =>
      server.raw(async (redis) => Number(/total_net_input_bytes:(\d+)/.exec(await redis.info('stats'))?.[1]));
    const before = await count();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return (await count()) - before;
  }
});

describe('a reclaim', () => {
  it('of 1,000 jobs that a dead process held waits for no lock to run out, and each keeps its level', async () => {
    open();
    const jobs = [...jobsOf(1, 500), ...jobsOf(501, 1_000).map(interactive)];
    await queue.add(jobs);
    const bull = new BullQueue('q', { connection: { path: server.socketPath } });
    const ids = await queue.ids();
    await server.raw(async (redis) => {
      // As a process leaves them that is killed: active, each under a lock.
      const moving = redis
        .multi()
        .del('bull:q:prioritized')
        .lpush('bull:q:active', ...ids);
      for (const id of ids) moving.set(`bull:q:${id}:lock`, 'dead:1', 'PX', 30_000);
      await moving.exec();
    });
    await bull.close();
    const began = performance.now();
    expect(await queue.reclaim(() => true)).toEqual({ kept: 1_000, removed: 0 });
    const took = performance.now() - began;
    console.log(`1,000 active jobs reclaimed in ${Math.round(took)} ms`);
    expect(took).toBeLessThan(20_000);
    queue.work(hands.handler, { window: 64 });
    await workOff();
    expect(hands.seen).toEqual(idsOf([...jobsOf(501, 1_000), ...jobsOf(1, 500)]));
  });
});
