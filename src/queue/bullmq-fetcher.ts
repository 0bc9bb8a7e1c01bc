import { type Job as BullJob, Worker } from 'bullmq';
import type { Clock } from '../ports.ts';
import { settlesWithin } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { type RedisServer, reconnectDelay } from './redis-server.ts';

export interface FetcherOptions {
  readonly server: RedisServer;
  readonly name: string;
  readonly clock: Clock;
  readonly lockDuration: Millis;
  /** A connection that has been asked something and hears nothing for this long is made anew. */
  readonly answerLimit: Millis;
  readonly window: number;
  process(job: BullJob<unknown, void>, token: string): Promise<void>;
  /** A job has arrived. Many may, before the first of them is processed. */
  onArrived(jobId: string, token: string): void;
  onError(error: unknown): void;
}

const MOST_BLOCK_MS = 1_000;
const RETRY_DELAY_MS = 1_000;
/** After the last handler: a server that is gone must not hold up the stop for ever. */
const CLOSE_LIMIT_MS = 10_000;

/**
 * One BullMQ Worker with its connections. Of BullMQ's guards none is used: locks are kept by the watch, over a connection
 * of its own, and jobs of a worker that died return to their place and not to the head of all.
 */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #worker: Worker<unknown, void>;
  #givenUp = false;

  constructor(options: FetcherOptions) {
    this.#options = options;
    const { name, server, lockDuration, answerLimit, window } = options;
    // Without a delay ioredis ends the connection, which fails whatever still waits for an answer.
    const retryStrategy = (times: number) => (this.#givenUp ? null : reconnectDelay(times));
    this.#worker = new Worker<unknown, void>(name, (job, token = '') => options.process(job, token), {
      connection: { ...server.options, maxRetriesPerRequest: null, socketTimeout: answerLimit, retryStrategy },
      concurrency: window,
      lockDuration,
      skipLockRenewal: true,
      skipStalledCheck: true,
      drainDelay: Math.min(MOST_BLOCK_MS, answerLimit / 2) / 1_000,
      runRetryDelay: RETRY_DELAY_MS,
    });
    this.#worker.on('error', options.onError);
    this.#worker.on('active', ({ id, token }) => {
      if (id !== undefined && token !== undefined) options.onArrived(id, token);
    });
  }

  set window(window: number) {
    this.#worker.concurrency = window;
  }

  /** Acts before it returns: nothing is fetched after a false. Calling it again mends a loop that ended by itself. */
  fetch(wanted: boolean): void {
    if (!wanted) this.#worker.pause(true).catch(this.#options.onError);
    else if (this.#worker.isPaused() || !this.#worker.isRunning()) this.#worker.resume().catch(this.#options.onError);
  }

  /** BullMQ makes its tokens from the Worker's own id and a number. */
  owns(token: string): boolean {
    return token.startsWith(`${this.#worker.id}:`);
  }

  /** Answers come in the order of the questions: what was asked before has arrived then, and been taken in. */
  async roundTrip(): Promise<void> {
    try {
      const client = await this.#worker.getBackend().client;
      await client.hget(this.#worker.toKey('meta'), 'version');
    } catch (error) {
      // Its connection ends after the last job.
      if (this.#worker.closing === undefined) throw error;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** False if the server did not answer, and the connections were given up. */
  async close(): Promise<boolean> {
    const closed = this.#worker.close();
    if (await settlesWithin(this.#options.clock, CLOSE_LIMIT_MS, closed)) return true;
    this.#givenUp = true;
    this.#wakeConnections().catch(this.#options.onError);
    await settlesWithin(this.#options.clock, CLOSE_LIMIT_MS, closed);
    return false;
  }

  /**
   * BullMQ disconnects while it closes. A connection that was between two tries then makes no other and never
   * reports its end, for which BullMQ waits; one more try, which fails, makes it end.
   */
  async #wakeConnections(): Promise<void> {
    const { client, blockingClient } = this.#worker.getBackend();
    for (const connection of await Promise.all([client, blockingClient])) {
      // The failure of the try is what is wanted, and BullMQ has stopped listening to errors.
      connection?.on('error', () => {});
      if (connection?.status === 'reconnecting') connection.connect().catch(() => {});
    }
  }
}
