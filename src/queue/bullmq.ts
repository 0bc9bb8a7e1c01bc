import { AppError, sentenceOf } from '../errors.ts';
import { runIdOf } from '../job/job-id.ts';
import type { Check, Clock, Job, JobHandler, Queue, QueueWorker, WorkOptions } from '../ports.ts';
import type { Millis } from '../units.ts';
import { chunks, giveBackActive, idsOf, promoteDelayed, removeAll } from './bullmq-commands.ts';
import { BullmqWorker } from './bullmq-worker.ts';
import { checksOf, factsOf, requireFit } from './fitness.ts';
import { Lease, type QueueOwner } from './lease.ts';
import { numberOf } from './levels.ts';
import { ProducerLine } from './producer-line.ts';
import { connectTo, type RedisConnection, type RedisServer, redisServer, unavailable } from './redis-server.ts';
import { JOB_BYTES, packed } from './travelling-job.ts';

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
  /** A connection that has been asked something and hears nothing for this long is made anew. */
  readonly answerLimitMs?: Millis;
  /** How long the server may be silent before a worker is told that it is away. */
  readonly awayAfterMs?: Millis;
  /** Jobs wait, there is room for them, and none comes: how long until the worker's connections are made anew. */
  readonly idleLimitMs?: Millis;
  /** Told where the server takes connections and answers a worker nothing for long; for whoever can start it again. */
  onSilent?(): void;
  readonly silentAfterMs?: Millis;
  /** Who is to work the queue, where others can reach its server; clients leave it out. */
  readonly owner?: QueueOwner;
}

const LOCK_MS = 30_000;
const PATIENCE_MS = 10_000;
/** BullMQ asks for no longer than 10 s at a time. */
const ANSWER_LIMIT_MS = 12_000;
/** At the last answer a lock had 20 s left at least. */
const AWAY_AFTER_MS = 15_000;
const IDLE_LIMIT_MS = 30_000;
const SILENT_AFTER_MS = 60_000;
const ADD_CHUNK = 100;
const REMOVE_CHUNK = 200;
const EVENTS_KEPT = 2_000;

const JOB_OPTIONS = {
  sizeLimit: JOB_BYTES,
  // The store is the truth; a finished job that is kept would block its id from being added again.
  removeOnComplete: true,
  removeOnFail: true,
} as const;

/** The queue on BullMQ. Connects with its first command. */
export class BullmqQueue implements Queue {
  readonly #options: BullmqQueueOptions;
  readonly #server: RedisServer;
  readonly #limits: { readonly clock: Clock; readonly patience: Millis; readonly answer: Millis };
  readonly #line: ProducerLine;
  readonly #lease: Lease | null;
  #worker: BullmqWorker | undefined;
  #closing: Promise<void> | undefined;

  /** @throws ConfigError `redis_url_broken` */
  constructor(options: BullmqQueueOptions) {
    this.#options = options;
    this.#server = redisServer(options.connection);
    const { name, clock, log, owner, lockDurationMs: limit = LOCK_MS } = options;
    const { patienceMs: patience = PATIENCE_MS, answerLimitMs: answer = ANSWER_LIMIT_MS } = options;
    this.#limits = { clock, patience, answer };
    const settings = { jobOptions: JOB_OPTIONS, eventsKept: EVENTS_KEPT };
    this.#line = new ProducerLine({ server: this.#server, name, clock, log, patience, answer, ...settings });
    const lease = { limit, clock, log, line: this.#line, queue: name, server: this.#server.name };
    this.#lease = owner === undefined ? null : new Lease({ ...lease, owner });
  }

  /** @throws UnavailableError `queue_taken` while another host has taken the queue of this owner */
  async add(jobs: readonly Job[]): Promise<void> {
    this.#lease?.requireNotLost();
    // All of them first: a job that cannot travel must not leave half a run in the queue.
    for (const job of jobs) packed(job);
    for (const some of chunks(jobs, ADD_CHUNK)) {
      const entries = some.map((job) => ({ name: 'image', data: packed(job), opts: optionsOf(job) }));
      await this.#line.retrying(({ queue }) => queue.addBulk(entries));
    }
  }

  /** The handler of a job that this process works on is told by its signal; another process notices by its lost lock. */
  async remove(jobIds: readonly string[]): Promise<void> {
    for (const some of chunks(jobIds, REMOVE_CHUNK)) {
      this.#worker?.deliveries.leaving(some);
      let gone = false;
      try {
        await this.#line.retrying((producer) => removeAll(producer, some));
        gone = true;
      } finally {
        this.#worker?.deliveries.left(some, gone);
      }
    }
  }

  /** @throws ConfigError `queue_taken` where another host works it, whose jobs are not touched */
  async reclaim(
    keep: (job: { readonly id: string; readonly runId: string }) => boolean,
  ): Promise<{ kept: number; removed: number }> {
    await this.#lease?.claim();
    // A queue that another program left paused would hand out nothing, and nobody would say why.
    await this.#line.retrying(({ queue }) => queue.resume());
    await this.#line.retrying(giveBackActive);
    const ids = await this.ids();
    const refused = ids.filter((id) => !keep({ id, runId: runIdOf(id) }));
    // By their ids and never as a whole: a client may have added jobs since they were listed.
    await this.remove(refused);
    await this.promote();
    return { kept: ids.length - refused.length, removed: refused.length };
  }

  async promote(): Promise<void> {
    await this.#line.retrying(promoteDelayed);
  }

  async ids(): Promise<readonly string[]> {
    return this.#line.retrying(idsOf);
  }

  work(handler: JobHandler, work: WorkOptions): QueueWorker {
    if (this.#worker !== undefined || this.#closing !== undefined) {
      throw new AppError('this queue object has a worker already, or is closed', { code: 'queue_in_use' });
    }
    const { name, clock, log, lockDurationMs, awayAfterMs, idleLimitMs, onSilent, silentAfterMs } = this.#options;
    const lock = lockDurationMs ?? LOCK_MS;
    const limits = {
      lock,
      answer: this.#limits.answer,
      away: awayAfterMs ?? Math.min(AWAY_AFTER_MS, lock / 2),
      idle: idleLimitMs ?? IDLE_LIMIT_MS,
    };
    this.#worker = new BullmqWorker({
      ...{ server: this.#server, name, clock, log, limits, work, handler, ask: this.#line.once, lease: this.#lease },
      silence: { limit: silentAfterMs ?? SILENT_AFTER_MS, tell: () => onSilent?.() },
    });
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
    this.#closing ??= this.#line.close(async () => {
      await this.#worker?.stop();
      await this.#lease?.release();
    });
    return this.#closing;
  }

  /** A connection of its own: BullMQ writes settings when it opens a queue, and a look must change nothing. */
  async #facts(): Promise<ReturnType<typeof factsOf>> {
    const redis = await connectTo(this.#server, this.#limits);
    try {
      return await factsOf(redis);
    } catch (error) {
      throw unavailable(this.#server, error);
    } finally {
      redis.disconnect();
    }
  }
}

function optionsOf({ id, priority }: Job) {
  return { jobId: id, priority: numberOf({ priority, behind: false }) };
}
