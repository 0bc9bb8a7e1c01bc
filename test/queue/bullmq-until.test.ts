import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { HandedBack } from '../../src/errors.ts';
import type { JobHandler } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { closeAll, Hands, PATIENCE } from './hands.ts';
import { idsOf, interactive, jobOf, jobsOf, OTHER_RUN } from './samples.ts';
import { TestServer } from './server.ts';

const HOUR = 3_600_000;
/** More than BullMQ has come back at once. */
const MANY = 2_000;

let server: TestServer;
let hands: Hands;
const queues: BullmqQueue[] = [];

beforeAll(async () => {
  server = new TestServer();
  await server.start();
});
afterAll(() => server.close());

let names = 0;
beforeEach(() => {
  names += 1;
  hands = new Hands();
});
afterEach(() => closeAll(queues.splice(0), hands));

function open(): BullmqQueue {
  const connection = { socketPath: server.socketPath };
  const queue = new BullmqQueue({ connection, name: `until-${names}`, clock: systemClock, log: () => {} });
  queues.push(queue);
  return queue;
}

describe('jobs that wait for a time in BullMQ', () => {
  it('let an interactive job through before them, be they thousands, and then leave everybody alone', async () => {
    const queue = open();
    await queue.add(jobsOf(1, MANY));
    let sentBack = 0;
    const made: number[] = [];
    const handler: JobHandler = async ({ priority }) => {
      if (priority === 'interactive') {
        made.push(sentBack);
        return;
      }
      sentBack += 1;
      throw new HandedBack({ until: Date.now() + HOUR });
    };
    queue.work(handler, { window: 8 });
    await vi.waitFor(() => expect(sentBack).toBeGreaterThan(100), PATIENCE);
    await queue.add([interactive(jobOf(1, OTHER_RUN))]);
    await vi.waitFor(() => expect(made).toHaveLength(1), PATIENCE);
    expect(made[0]).toBeLessThan(MANY);
    await vi.waitFor(() => expect(sentBack).toBe(MANY), PATIENCE);
    // With all of them waiting, another is made at once, and none of them is looked at again.
    await queue.add([interactive(jobOf(2, OTHER_RUN))]);
    await vi.waitFor(() => expect(made).toHaveLength(2), PATIENCE);
    expect(sentBack).toBe(MANY);
    await vi.waitFor(async () => expect(await queue.ids()).toHaveLength(MANY), PATIENCE);
  });

  it('are there after the server was killed, and come at once where an owner reclaims them', async () => {
    const first = open();
    await first.add(jobsOf(1, 3));
    first.work(hands.handler, { window: 3 });
    await hands.called(3);
    for (const call of hands.calls) call.reject(new HandedBack({ until: Date.now() + HOUR }));
    await server.raw((redis) =>
      vi.waitFor(async () => expect(await redis.zcard(`bull:until-${names}:delayed`)).toBe(3), PATIENCE),
    );
    await server.kill();
    await server.start();
    expect([...(await first.ids())].sort()).toEqual(idsOf(jobsOf(1, 3)));
    const next = open();
    expect(await next.reclaim(() => true)).toEqual({ kept: 3, removed: 0 });
    await hands.called(6);
    expect(hands.seen.slice(3).sort()).toEqual(idsOf(jobsOf(1, 3)));
  });
});
