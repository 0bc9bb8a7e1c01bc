import { type Job as BullJob, UnrecoverableError, WaitingError, Worker } from 'bullmq';
import { AppError, HandedBack, sentenceOf } from '../errors.ts';
import type { Clock, Job, JobHandler, QueueWorker, WorkOptions } from '../ports.ts';
import { settlesWithin } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { type RedisServer, reconnectDelay } from './redis-server.ts';
import { travellingJob } from './travelling-job.ts';

export interface BullmqWorkerOptions {
  readonly server: RedisServer;
  readonly name: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly lockDuration: Millis;
  readonly work: WorkOptions;
  readonly handler: JobHandler;
  /** How many jobs wait, or undefined when the server does not answer. */
  waiting(): Promise<number | undefined>;
}

const STALLED_INTERVAL_MS = 5_000;
/** Deaths are counted by us; BullMQ's own count would fail the whole window of a killed process. */
const MAX_STALLED = 1_000_000;
const BLOCK_SECONDS = 1;
const RETRY_DELAY_MS = 1_000;
/** After the last handler: a server that is gone must not hold up the stop for ever. */
const CLOSE_LIMIT_MS = 10_000;
const WATCH_MS = 15_000;
const IDLE_LIMIT_MS = 60_000;

/** One BullMQ Worker whose concurrency is the look-ahead window, and what guards it. */
export class BullmqWorker implements QueueWorker {
  readonly #options: BullmqWorkerOptions;
  /** Handlers that run. */
  readonly #inHand = new Set<Promise<void>>();
  #window: number;
  #worker: Worker<unknown, void>;
  /** Workers that were replaced and still finish their last jobs. */
  readonly #retired = new Set<Worker<unknown, void>>();
  #fetchedAt: Millis;
  #trouble = '';
  #stopping: Promise<void> | undefined;
  #cancelWatch = () => {};
  #givenUp = false;

  constructor(options: BullmqWorkerOptions) {
    this.#options = options;
    this.#window = atLeastOne(options.work.window);
    this.#fetchedAt = options.clock.monotonic();
    this.#worker = this.#open();
    this.#watch();
  }

  setWindow(window: number): void {
    const before = this.#window;
    this.#window = atLeastOne(window);
    this.#worker.concurrency = this.#window;
    if (this.#stopping !== undefined || this.#window <= before) return;
    // BullMQ looks at a raised concurrency only when a job ends. Resuming wakes its loop now; both calls
    // act before they first wait, so that no stop can come between.
    this.#worker.pause(true).catch(this.#report);
    this.#worker.resume().catch(this.#report);
  }

  /** Tells the handler of a job that is taken out of the queue. */
  abandon(jobId: string): void {
    const removed = new AppError(`the job ${jobId} was taken out of the queue`, { code: 'job_removed' });
    for (const worker of [this.#worker, ...this.#retired]) cancel(worker, jobId, removed);
  }

  stop(): Promise<void> {
    // Paused before anything is awaited: whoever releases its jobs next must not get new ones for them.
    this.#stopping ??= this.#stop(this.#worker.pause(true));
    return this.#stopping;
  }

  async #stop(paused: Promise<void>): Promise<void> {
    this.#cancelWatch();
    await paused;
    while (this.#inHand.size > 0) await Promise.allSettled(this.#inHand);
    await Promise.all([this.#worker, ...this.#retired].map((worker) => this.#close(worker)));
  }

  async #close(worker: Worker<unknown, void>): Promise<void> {
    const closed = worker.close();
    if (await settlesWithin(this.#options.clock, CLOSE_LIMIT_MS, closed)) return;
    this.#options.log(`queue: ${this.#options.server.name} did not answer; its connections are given up`);
    this.#givenUp = true;
    wakeConnections(worker).catch(this.#report);
    await settlesWithin(this.#options.clock, CLOSE_LIMIT_MS, closed);
  }

  #open(): Worker<unknown, void> {
    const { name, server, lockDuration, log } = this.#options;
    // Without a delay ioredis ends the connection, which fails whatever still waits for an answer.
    const retryStrategy = (times: number) => (this.#givenUp ? null : reconnectDelay(times));
    const worker = new Worker<unknown, void>(name, (job, token, signal) => this.#process(job, token, signal), {
      connection: { ...server.options, maxRetriesPerRequest: null, retryStrategy },
      concurrency: this.#window,
      lockDuration,
      stalledInterval: STALLED_INTERVAL_MS,
      maxStalledCount: MAX_STALLED,
      drainDelay: BLOCK_SECONDS,
      runRetryDelay: RETRY_DELAY_MS,
    });
    worker.on('error', this.#report);
    worker.on('ready', () => {
      this.#trouble = '';
    });
    worker.on('stalled', (jobId) => log(`queue: ${jobId} waits again, because its worker let the lock expire`));
    worker.on('lockRenewalFailed', (jobIds: string[]) => {
      const lost = new AppError('the queue gave the job to another worker', { code: 'lock_lost', retryable: true });
      for (const jobId of jobIds) cancel(worker, jobId, lost);
    });
    return worker;
  }

  /** Named with all three parameters: BullMQ counts them, and passes no signal to a function with fewer. */
  async #process(
    job: BullJob<unknown, void>,
    token: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    this.#fetchedAt = this.#options.clock.monotonic();
    try {
      if (this.#stopping !== undefined) throw new HandedBack();
      await this.#counted(this.#handle(job, signal ?? new AbortController().signal));
    } catch (error) {
      throw await this.#verdict(job, token, signal, error);
    }
  }

  async #counted(handled: Promise<void>): Promise<void> {
    this.#inHand.add(handled);
    try {
      await handled;
    } finally {
      this.#inHand.delete(handled);
    }
  }

  async #handle(job: BullJob<unknown, void>, signal: AbortSignal): Promise<void> {
    const read = travellingJob.safeParse(job.data);
    if (!read.success) {
      const [issue] = read.error.issues;
      const error = new AppError(`it was written by another version (${issue?.path.join('.')}: ${issue?.message})`, {
        code: 'job_unreadable',
      });
      if (job.id !== undefined) await this.#options.work.onUnreadable?.(job.id, error);
      throw error;
    }
    const travelled: Job = { ...read.data, attempt: read.data.attempt + job.attemptsMade };
    await this.#options.handler(travelled, signal);
  }

  /** What BullMQ has to be told, so that it does with the job what the handler meant. */
  async #verdict(
    job: BullJob<unknown, void>,
    token: string | undefined,
    signal: AbortSignal | undefined,
    error: unknown,
  ): Promise<Error> {
    // The lock is another's, or the job is out of the queue: nothing may be written about it.
    if (signal?.aborted) return new WaitingError();
    if (error instanceof HandedBack) return this.#giveBack(job, token);
    if (error instanceof AppError && error.retryable) return error;
    this.#options.log(`queue: ${job.id} was taken out: ${sentenceOf(error)}`);
    return new UnrecoverableError(sentenceOf(error));
  }

  async #giveBack(job: BullJob<unknown, void>, token: string | undefined): Promise<Error> {
    try {
      await job.moveToWait(token);
    } catch (error) {
      // It was removed, or its lock expired; in both cases it is no longer ours to give back.
      this.#options.log(`queue: ${job.id} could not be handed back: ${sentenceOf(error)}`);
    }
    return new WaitingError();
  }

  /** A lost connection is told once and not at each try. */
  readonly #report = (error: unknown): void => {
    const trouble = sentenceOf(error);
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#options.log(`queue: ${trouble}`);
  };

  /** BullMQ has been seen to fetch nothing after a reconnect, for ever; then its Worker is replaced. */
  #watch(): void {
    this.#cancelWatch = this.#options.clock.after(WATCH_MS, () => {
      this.#replaceIfIdle().catch(this.#report);
      if (this.#stopping === undefined) this.#watch();
    });
  }

  async #replaceIfIdle(): Promise<void> {
    if (!this.#looksIdle() || !(Number(await this.#options.waiting()) > 0)) return;
    // Looked at again, because something may have come in during the question.
    if (!this.#looksIdle() || this.#stopping !== undefined) return;
    this.#options.log('queue: jobs wait and none was fetched for a minute; the worker is replaced');
    const old = this.#worker;
    this.#fetchedAt = this.#options.clock.monotonic();
    this.#worker = this.#open();
    this.#retired.add(old);
    await old.close();
    this.#retired.delete(old);
  }

  #looksIdle(): boolean {
    const idleFor = this.#options.clock.monotonic() - this.#fetchedAt;
    return idleFor >= IDLE_LIMIT_MS && this.#inHand.size < this.#window;
  }
}

/** With an Error in spite of the type: BullMQ passes it on as it is, and would drop the text of a string. */
function cancel(worker: Worker<unknown, void>, jobId: string, reason: Error): void {
  worker.cancelJob(jobId, reason as unknown as string);
}

/**
 * BullMQ disconnects while it closes. A connection that was between two tries then makes no other and never
 * reports its end, for which BullMQ waits; one more try, which fails, makes it end.
 */
async function wakeConnections(worker: Worker<unknown, void>): Promise<void> {
  const { client, blockingClient } = worker.getBackend();
  for (const connection of await Promise.all([client, blockingClient])) {
    // The failure of the try is what is wanted, and BullMQ has stopped listening to errors.
    connection?.on('error', () => {});
    if (connection?.status === 'reconnecting') connection.connect().catch(() => {});
  }
}

function atLeastOne(window: number): number {
  return Math.max(1, Math.floor(window));
}
