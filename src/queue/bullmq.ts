import { Queue as BullQueue } from 'bullmq';
import { AppError, sentenceOf } from '../errors.ts';
import type { Check, Clock, Job, JobHandler, Queue, QueueWorker, WorkOptions } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { chunks, giveBackActive, idsOf, type Producer, removeAll } from './bullmq-commands.ts';
import { BullmqWorker } from './bullmq-worker.ts';
import { checksOf, factsOf, requireFit } from './fitness.ts';
import {
  connectTo,
  isConnectionTrouble,
  type RedisConnection,
  type RedisServer,
  reconnectDelay,
  redisServer,
  unavailable,
} from './redis-server.ts';
import { JOB_BYTES, packed, runIdOf } from './travelling-job.ts';

export interface BullmqQueueOptions {
  readonly connection: RedisConnection;
  /** Name of the queue on that server; letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** How long a worker that has died keeps its jobs; longer than the longest restart of the server. */
  readonly lockDurationMs?: Millis;
  /** How long a command is tried before the server counts as not to be had. */
  readonly patienceMs?: Millis;
}

const LOCK_MS = 30_000;
const PATIENCE_MS = 10_000;
const ADD_CHUNK = 100;
const REMOVE_CHUNK = 200;
/** Every job has one, because BullMQ runs jobs without a priority before all others. */
const BULK_PRIORITY = 1_000;
const EVENTS_KEPT = 2_000;

const JOB_OPTIONS = {
  priority: BULK_PRIORITY,
  attempts: 3,
  backoff: { type: 'exponential', delay: 1_000 },
  sizeLimit: JOB_BYTES,
  // The store is the truth; a finished job that is kept would block its id from being added again.
  removeOnComplete: true,
  removeOnFail: true,
} as const;

/** The queue on BullMQ. Connects with its first command. */
export class BullmqQueue implements Queue {
  readonly #options: BullmqQueueOptions;
  readonly #server: RedisServer;
  readonly #patience: Millis;
  #producer: Promise<Producer> | undefined;
  #worker: BullmqWorker | undefined;
  #closing: Promise<void> | undefined;

  /** @throws ConfigError `redis_url_broken` */
  constructor(options: BullmqQueueOptions) {
    this.#options = options;
    this.#server = redisServer(options.connection);
    this.#patience = options.patienceMs ?? PATIENCE_MS;
  }

  async add(jobs: readonly Job[]): Promise<void> {
    // All of them first: a job that cannot travel must not leave half a run in the queue.
    for (const job of jobs) packed(job);
    for (const some of chunks(jobs, ADD_CHUNK)) {
      const entries = some.map((job) => ({ name: 'image', data: packed(job), opts: { jobId: job.id } }));
      await this.#retrying(({ queue }) => queue.addBulk(entries));
    }
  }

  /** The handler of a job that this process works on is told by its signal; another process notices by its lost lock. */
  async remove(jobIds: readonly string[]): Promise<void> {
    for (const some of chunks(jobIds, REMOVE_CHUNK)) {
      await this.#retrying((producer) => removeAll(producer, some));
      for (const id of some) this.#worker?.abandon(id);
    }
  }

  async reclaim(
    keep: (job: { readonly id: string; readonly runId: string }) => boolean,
  ): Promise<{ kept: number; removed: number }> {
    // A queue that another program left paused would hand out nothing, and nobody would say why.
    await this.#retrying(({ queue }) => queue.resume());
    await this.#retrying(giveBackActive);
    const ids = await this.ids();
    const refused = ids.filter((id) => !keep({ id, runId: runIdOf(id) }));
    // By their ids and never as a whole: a client may have added jobs since they were listed.
    await this.remove(refused);
    return { kept: ids.length - refused.length, removed: refused.length };
  }

  async ids(): Promise<readonly string[]> {
    return this.#retrying(idsOf);
  }

  work(handler: JobHandler, work: WorkOptions): QueueWorker {
    if (this.#worker !== undefined || this.#closing !== undefined) {
      throw new AppError('this queue object has a worker already, or is closed', { code: 'queue_in_use' });
    }
    const { name, clock, log, lockDurationMs } = this.#options;
    const waiting = () => this.#waiting();
    const lockDuration = lockDurationMs ?? LOCK_MS;
    this.#worker = new BullmqWorker({ server: this.#server, name, clock, log, lockDuration, work, handler, waiting });
    return this.#worker;
  }

  /** @throws ConfigError `redis_evicts`, `redis_too_old`; UnavailableError `redis_unavailable` */
  async assertFit(): Promise<void> {
    requireFit(this.#server, await this.#facts());
  }

  async check(): Promise<readonly Check[]> {
    try {
      return checksOf(this.#server, await this.#facts());
    } catch (error) {
      const mend = 'start it, correct redis_url, or leave redis_url out to use the built-in Valkey';
      return [{ name: 'redis', status: 'fail', detail: sentenceOf(error), mend }];
    }
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#worker?.stop();
    // A connection that never came about has told its caller; there is nothing to close then.
    const producer = await this.#producer?.catch(() => undefined);
    await producer?.queue.close();
    producer?.redis.disconnect();
  }

  /** A connection of its own: BullMQ writes settings when it opens a queue, and a look must change nothing. */
  async #facts(): Promise<ReturnType<typeof factsOf>> {
    const redis = await connectTo(this.#server, { clock: this.#options.clock, patience: this.#patience });
    try {
      return await factsOf(redis);
    } catch (error) {
      throw unavailable(this.#server, error);
    } finally {
      redis.disconnect();
    }
  }

  async #waiting(): Promise<number | undefined> {
    try {
      const { queue } = await this.#connected();
      return await queue.getJobCountByTypes('waiting', 'prioritized');
    } catch (error) {
      if (isConnectionTrouble(error)) return undefined;
      throw error;
    }
  }

  /** Every command may be sent twice, so each must be one that does nothing the second time. */
  async #retrying<T>(command: (producer: Producer) => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + this.#patience;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await command(await this.#connected());
      } catch (error) {
        if (error instanceof AppError || !isConnectionTrouble(error)) throw error;
        const delay = reconnectDelay(attempt);
        if (this.#closing !== undefined || clock.monotonic() + delay > deadline) throw unavailable(this.#server, error);
        await pause(clock, delay);
      }
    }
  }

  async #connected(): Promise<Producer> {
    if (this.#closing !== undefined) throw new AppError('the queue is closed', { code: 'queue_closed' });
    this.#producer ??= this.#connect();
    try {
      return await this.#producer;
    } catch (error) {
      this.#producer = undefined;
      throw error;
    }
  }

  async #connect(): Promise<Producer> {
    const { name, clock, log } = this.#options;
    const redis = await connectTo(this.#server, { clock, patience: this.#patience });
    const queue = new BullQueue(name, {
      connection: redis,
      streams: { events: { maxLen: EVENTS_KEPT } },
      defaultJobOptions: JOB_OPTIONS,
    });
    queue.on('error', (error) => {
      // The command that met a lost connection tells of it.
      if (!isConnectionTrouble(error)) log(`queue: ${sentenceOf(error)}`);
    });
    return { redis, queue };
  }
}
