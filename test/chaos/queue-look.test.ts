import { type Job, Queue, Worker } from 'bullmq';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestServer } from '../queue/server.ts';
import { QueueLook } from './queue-look.ts';

let server: TestServer;
let queue: Queue;
let look: QueueLook;

beforeEach(async () => {
  server = new TestServer();
  await server.start();
  queue = new Queue('kilnwatt', { connection: { path: server.socketPath } });
  queue.on('error', () => {});
  look = new QueueLook(server.socketPath);
});
afterEach(async () => {
  look.close();
  await queue.close();
  await server.close();
});

describe('a look at the queue', () => {
  it('finds what waits, and what a worker took since, but not what a dead one still holds', async () => {
    for (const [id, priority] of [
      ['held', 1],
      ['clean', 1_000],
      ['plain', 0],
    ] as const)
      await queue.add('image', {}, { jobId: id, priority });
    const held = await taken(queue);
    expect(held.id).toBe('plain');
    const after = Date.now() + 1;
    await expect
      .poll(() => look.dispatchable(['held', 'clean', 'plain', 'unknown'], after))
      .toEqual(new Set(['held', 'clean']));
    expect(await look.dispatchable(['plain'], held.processedOn ?? 0)).toEqual(new Set(['plain']));
  });

  it('finds nothing while the server is away, and all of it when that is back', async () => {
    await queue.add('image', {}, { jobId: 'a' });
    await expect.poll(() => look.dispatchable(['a'], 0)).toEqual(new Set(['a']));
    await server.kill();
    expect(await look.dispatchable(['a'], 0)).toBeNull();
    await server.start();
    await expect.poll(() => look.dispatchable(['a'], 0)).toEqual(new Set(['a']));
  });
});

/** Takes one job as a process would that then dies: its lock stays. */
async function taken(from: Queue): Promise<Job> {
  const worker = new Worker(from.name, null, { connection: { path: server.socketPath }, autorun: false });
  worker.on('error', () => {});
  const job = await worker.getNextJob('a dead one');
  await worker.close(true);
  if (job === undefined) throw new Error('the queue handed out nothing');
  return job;
}
