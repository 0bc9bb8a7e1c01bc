import { expect, it } from 'vitest';
import type { Job } from '../../src/ports.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { addMissing } from '../../src/recovery.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { runWrite } from '../store/samples.ts';

const scope = { serves: true, isAlive: () => true };

it('a job that is tried again while the others are put into the queue is put there by the next look', async () => {
  const store = new MemoryStore();
  const queue = new (class extends MemoryQueue {
    override async add(jobs: readonly Job[]): Promise<void> {
      await super.add(jobs);
      await store.retry(['r1-000001']);
    }
  })();
  await store.writeRun(runWrite('r1', 3, { served: true }));
  await store.cancel(['r1-000001']);
  expect(await addMissing({ ...scope, store, queue })).toBe(0);
  expect(await queue.ids()).toEqual(['r1-000000', 'r1-000002']);
  expect((await store.run('r1'))?.counts).toMatchObject({ submitting: 1, queued: 2 });
  expect((await store.news(0)).submitted).toBe(true);
  expect(await addMissing({ ...scope, store, queue })).toBe(0);
  expect(await queue.ids()).toHaveLength(3);
  expect((await store.run('r1'))?.counts).toMatchObject({ queued: 3 });
});

it('does not read ten thousand jobs again and again that wait in the queue, and finds one that it has lost', async () => {
  let read = 0;
  const store = new (class extends MemoryStore {
    override async payloads(...words: Parameters<MemoryStore['payloads']>): Promise<readonly Job[]> {
      read += 1;
      return super.payloads(...words);
    }
  })();
  const queue = new MemoryQueue();
  await store.writeRun(runWrite('r1', 3, { served: true }));
  await addMissing({ ...scope, store, queue });
  expect(read).toBe(1);
  expect([await addMissing({ ...scope, store, queue }), read]).toEqual([0, 1]);
  await queue.remove(['r1-000001']);
  expect([await addMissing({ ...scope, store, queue }), read]).toEqual([1, 2]);
  expect(await queue.ids()).toHaveLength(3);
});
