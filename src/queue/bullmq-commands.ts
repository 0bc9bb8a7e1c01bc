import type { Queue as BullQueue } from 'bullmq';
import type { Redis } from 'ioredis';
import { AppError } from '../errors.ts';

/** One producer connection and BullMQ's view of the queue over it. */
export interface Producer {
  readonly redis: Redis;
  readonly queue: BullQueue;
}

/** Sends one command to the server, or a few. */
export type Ask = <T>(command: (producer: Producer) => Promise<T>) => Promise<T>;

/** A lock may be taken again between its removal and the job's: then the job is removed once more. */
const REMOVE_ROUNDS = 5;
const CHUNK = 200;
/** BullMQ's word for "whoever holds the lock". */
const NO_LOCK = '0';

/** All ids as they are at one moment; their order is of no promise. */
export async function idsOf({ redis, queue }: Producer): Promise<readonly string[]> {
  const answers = await redis
    .multi()
    .lrange(queue.toKey('active'), 0, -1)
    .lrange(queue.toKey('wait'), 0, -1)
    .zrange(queue.toKey('prioritized'), '0', '-1')
    .zrange(queue.toKey('delayed'), '0', '-1')
    .exec();
  return (answers ?? []).flatMap(([error, ids]) => {
    if (error !== null) throw error;
    return Array.isArray(ids) ? ids.map(String) : [];
  });
}

/** A lock is taken away first: the job is to be gone whoever works on it. */
export async function removeAll({ redis, queue }: Producer, ids: readonly string[]): Promise<void> {
  let left = ids;
  for (let round = 0; left.length > 0; round += 1) {
    if (round === REMOVE_ROUNDS) {
      throw new AppError(`${left.length} jobs could not be taken out of the queue; try again.`, {
        code: 'jobs_locked',
        retryable: true,
      });
    }
    await redis.unlink(...left.map((id) => lockOf(queue, id)));
    const removed = await Promise.all(left.map((id) => queue.getBackend().remove(id, false)));
    left = left.filter((_id, at) => removed[at] === 0);
  }
}

/** Puts active jobs back to the front of their priority, by id, whether their lock has expired or not. */
export async function giveBackActive({ redis, queue }: Producer): Promise<void> {
  const active = await redis.lrange(queue.toKey('active'), 0, -1);
  for (const some of chunks(active, CHUNK)) {
    await redis.unlink(...some.map((id) => lockOf(queue, id)));
    await Promise.all(some.map((id) => giveBack({ redis, queue }, id)));
  }
  await redis.unlink(queue.toKey('stalled'));
}

/** Puts delayed jobs behind those of their priority, in the order of their times. */
export async function promoteDelayed({ redis, queue }: Producer): Promise<void> {
  const delayed = await redis.zrange(queue.toKey('delayed'), '0', '-1');
  for (const some of chunks(delayed, CHUNK)) await Promise.all(some.map((id) => promote(queue, id)));
}

async function promote(queue: BullQueue, id: string): Promise<void> {
  try {
    await queue.getBackend().promote(id);
  } catch (error) {
    // Its time came meanwhile, or it was taken out.
    if (!isNotDelayed(error)) throw error;
  }
}

function isNotDelayed(error: unknown): boolean {
  return error instanceof Error && / is not in the delayed state/.test(error.message);
}

/** An id without a job, which no worker could ever finish, is struck off. */
async function giveBack({ redis, queue }: Producer, id: string): Promise<void> {
  if ((await redis.exists(queue.toKey(id))) === 0) await redis.lrem(queue.toKey('active'), 0, id);
  else await queue.getBackend().moveJobFromActiveToWait(id, NO_LOCK);
}

export function lockOf(queue: BullQueue, id: string): string {
  return `${queue.toKey(id)}:lock`;
}

export function* chunks<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < all.length; from += size) yield all.slice(from, from + size);
}
