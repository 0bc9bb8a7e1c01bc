import { Redis } from 'ioredis';
import type { EpochMillis, Millis } from '../../src/units.ts';

/** Where the program's queue is, as BullMQ lays it out: its own code is not asked. */
const QUEUE = 'bull:kilnwatt';
const RETRY_MS: Millis = 20;

/** Looks at the queue beside the program, over the socket of its server, and changes nothing. */
export class QueueLook {
  readonly #redis: Redis;

  /** @param path of the socket, which may come and go with its server */
  constructor(path: string) {
    this.#redis = new Redis({
      path,
      enableOfflineQueue: false,
      // While it reads its data back it says so, and ioredis would wait for a second.
      enableReadyCheck: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => RETRY_MS,
    });
    // Who looks meanwhile is told that there is nothing to see.
    this.#redis.on('error', () => {});
  }

  /**
   * Those of the jobs that wait for a worker, or that one took after `since`. A job that was in hand before, and whose
   * lock a dead process holds, is neither. Null while the server is away.
   */
  async dispatchable(jobs: readonly string[], since: EpochMillis): Promise<ReadonlySet<string> | null> {
    if (this.#redis.status !== 'ready') return null;
    try {
      await this.#redis.get(`${QUEUE}:id`);
      const found = await Promise.all(jobs.map((job) => this.#isDispatchable(job, since)));
      return new Set(jobs.filter((_, at) => found[at]));
    } catch {
      return null;
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #isDispatchable(job: string, since: EpochMillis): Promise<boolean> {
    const [score, place, active, taken] = await Promise.all([
      this.#redis.zscore(`${QUEUE}:prioritized`, job),
      this.#redis.lpos(`${QUEUE}:wait`, job),
      this.#redis.lpos(`${QUEUE}:active`, job),
      this.#redis.hget(`${QUEUE}:${job}`, 'processedOn'),
    ]);
    return score !== null || place !== null || (active !== null && Number(taken) >= since);
  }
}
