import { expect, vi } from 'vitest';
import { HandedBack } from '../../src/errors.ts';
import type { Delivery, Job, JobHandler, Queue } from '../../src/ports.ts';

interface Call extends Delivery {
  readonly job: Job;
  resolve(): void;
  reject(error: unknown): void;
}

/** For what other processes do. Less than the 30 s of a lock. */
export const PATIENCE = { timeout: 20_000, interval: 10 };

/** A handler whose calls a test settles one by one. */
export class Hands {
  readonly calls: Call[] = [];

  readonly handler: JobHandler = (job, delivery) =>
    new Promise((resolve, reject) => {
      this.calls.push({ job, ...delivery, resolve, reject });
    });

  /** Ids in the order in which their jobs came. */
  get seen(): string[] {
    return this.calls.map(({ job }) => job.id);
  }

  call(at: number): Call {
    const call = this.calls[at];
    if (call === undefined) throw new Error(`the handler was called ${this.calls.length} times, not ${at + 1}`);
    return call;
  }

  /** Resolves when it has been called so often. */
  called(count: number): Promise<void> {
    return vi.waitFor(() => expect(this.calls.length).toBeGreaterThanOrEqual(count), PATIENCE);
  }
}

/** Closes queues whose jobs are still in these hands: each waits for those that it handed over. */
export async function closeAll(queues: readonly Queue[], hands: Hands): Promise<void> {
  const closed = queues.map((queue) => queue.close());
  for (const call of hands.calls) call.reject(new HandedBack());
  await Promise.all(closed);
}
