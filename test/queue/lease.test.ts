import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfigError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue, type BullmqQueueOptions } from '../../src/queue/bullmq.ts';
import type { QueueOwner } from '../../src/queue/lease.ts';
import { closeAll, Hands, PATIENCE } from './hands.ts';
import { idsOf, jobOf, jobsOf, OTHER_RUN } from './samples.ts';
import { TestServer } from './server.ts';

const DESK: QueueOwner = { host: 'desk', dataDir: '/data/kilnwatt', launch: 'first' };
const LAPTOP: QueueOwner = { host: 'laptop', dataDir: '/home/ada/kilnwatt', launch: 'second' };
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
  name = `leased-${names}`;
  hands = new Hands();
  log = [];
});

afterEach(() => closeAll(queues.splice(0), hands));

/** A lock of 800 ms, and so a look ten times a second. */
function open(owner?: QueueOwner, options: Partial<BullmqQueueOptions> = {}): BullmqQueue {
  const queue = new BullmqQueue({
    connection: { socketPath: server.socketPath },
    name,
    clock: systemClock,
    log: (line) => log.push(line),
    lockDurationMs: 800,
    ...(owner === undefined ? {} : { owner }),
    ...options,
  });
  queues.push(queue);
  return queue;
}

const key = () => `bull:${name}:owner`;
const holder = () => server.raw((redis) => redis.hgetall(key()));
const leaseOf = ({ host, dataDir, launch }: QueueOwner, limit: number) =>
  server.raw(async (redis) => {
    await redis.unlink(key());
    await redis.multi().hset(key(), { host, dataDir, launch }).pexpire(key(), limit).exec();
  });
async function working(owner: QueueOwner): Promise<BullmqQueue> {
  const queue = open(owner);
  await queue.reclaim(() => true);
  await queue.add(jobsOf(1, 6));
  queue.work(hands.handler, { window: 2 });
  await hands.called(2);
  return queue;
}

/**
 * Seen with one redis_url and one queue in the configuration of two hosts, as `submit` wants it: a `run` on the second
 * one took all jobs of the first out of the queue, and took some of them to work on, which its database did not know.
 */
describe('a queue that another host works', () => {
  it('is refused to a second owner, who is told which one has it, and loses no job', async () => {
    const queue = await working(DESK);
    const failure = await open(LAPTOP)
      .reclaim(() => false)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect(failure).toMatchObject({
      code: 'queue_taken',
      message:
        `the queue ${name} at ${server.socketPath} is worked by the kilnwatt on desk (data folder /data/kilnwatt): ` +
        'hand runs to it with kilnwatt submit, name another queue here, or stop that one.',
    });
    expect([...(await queue.ids())].sort()).toEqual(idsOf(jobsOf(1, 6)));
    expect(hands.calls.some(({ signal }) => signal.aborted)).toBe(false);
    expect(await holder()).toEqual(DESK);
  });

  it('takes jobs of clients, who hold no lease', async () => {
    const queue = await working(DESK);
    await open().add([jobOf(7)]);
    expect(await queue.ids()).toContain(jobOf(7).id);
    expect(await holder()).toEqual(DESK);
  });

  it('is had at once by the next process of the same data folder, whose last one was killed', async () => {
    await leaseOf(DESK, 30_000);
    const next = { ...DESK, launch: 'next' };
    const began = performance.now();
    await open(next).reclaim(() => true);
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(await holder()).toEqual(next);
    expect(log).toEqual([]);
  });

  it('is had by another host once the lease of a dead one has run out', async () => {
    await leaseOf(DESK, 600);
    await open(LAPTOP).reclaim(() => true);
    expect(await holder()).toEqual(LAPTOP);
    expect(log).toEqual([expect.stringMatching(/^queue: the kilnwatt on desk .* worked it a moment ago; waiting/)]);
  });

  it('is free as soon as its owner has left, who takes no lease of another with it', async () => {
    const [first, second] = [open(DESK), open(LAPTOP)];
    await first.reclaim(() => true);
    await first.close();
    expect(await holder()).toEqual({});
    await second.reclaim(() => true);
    await leaseOf(DESK, 30_000);
    await second.close();
    expect(await holder()).toEqual(DESK);
  });
});

describe('an owner that was away for so long that another host has taken its queue', () => {
  it('takes nothing from it and adds nothing to it until that one has left, and says both', async () => {
    const queue = await working(LAPTOP);
    await leaseOf(DESK, 30_000);
    await vi.waitFor(() => expect(log.join()).toMatch(/the kilnwatt on desk .* works it now/), PATIENCE);
    for (const call of hands.calls) call.resolve();
    await vi.waitFor(async () => expect(await queue.ids()).toHaveLength(4), PATIENCE);
    const failure = await queue.add(jobsOf(1, 1, OTHER_RUN)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UnavailableError);
    expect(failure).toMatchObject({ code: 'queue_taken' });
    await new Promise((later) => setTimeout(later, 400));
    expect(hands.calls).toHaveLength(2);
    await server.raw((redis) => redis.unlink(key()));
    await vi.waitFor(async () => {
      for (const call of hands.calls) call.resolve();
      expect(await queue.ids()).toEqual([]);
    }, PATIENCE);
    await queue.add([jobOf(9)]);
    expect(await holder()).toEqual(LAPTOP);
    expect(log).toEqual([expect.stringMatching(/works it now/), 'queue: it is free again; work goes on']);
  });

  it('has its lease again where the server came back without it', async () => {
    await working(LAPTOP);
    await server.raw((redis) => redis.unlink(key()));
    await vi.waitFor(async () => expect(await holder()).toEqual(LAPTOP), PATIENCE);
    expect(log).toEqual([]);
  });
});
