import { Queue as BullQueue, type JobsOptions } from 'bullmq';
import { AppError, sentenceOf } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { pause } from '../process/clock.ts';
import { unlessAborted } from '../process/unless-aborted.ts';
import type { Millis } from '../units.ts';
import type { Producer } from './bullmq-commands.ts';
import { connectTo, isConnectionTrouble, type RedisServer, reconnectDelay, unavailable } from './redis-server.ts';

export interface ProducerLineOptions {
  readonly server: RedisServer;
  /** Name of the queue. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** How long a command is tried before the server counts as not to be had. */
  readonly patience: Millis;
  /** A connection that has been asked something and hears nothing for this long is made anew. */
  readonly answer: Millis;
  readonly jobOptions: JobsOptions;
  /** How many events of the queue are kept. */
  readonly eventsKept: number;
}

/** The connection over which a queue is told things. Made with the first command. */
export class ProducerLine {
  readonly #options: ProducerLineOptions;
  #producer: Promise<Producer> | undefined;
  #closed = false;

  constructor(options: ProducerLineOptions) {
    this.#options = options;
  }

  /** One try; also while it closes. */
  readonly once = async <T>(command: (producer: Producer) => Promise<T>): Promise<T> =>
    command(await this.#connected());

  /**
   * Every command may be sent twice, so each must be one that does nothing the second time.
   * @throws UnavailableError `redis_unavailable`; the reason of an aborted signal
   */
  async retrying<T>(command: (producer: Producer) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { clock, patience, server } = this.#options;
    const deadline = clock.monotonic() + patience;
    for (let attempt = 1; ; attempt += 1) {
      if (this.#closed) throw new AppError('the queue is closed', { code: 'queue_closed' });
      try {
        return await unlessAborted(this.once(command), signal);
      } catch (error) {
        if (error instanceof AppError || !isConnectionTrouble(error)) throw error;
        const delay = reconnectDelay(attempt);
        if (this.#closed || clock.monotonic() + delay > deadline) throw unavailable(server, error);
        await pause(clock, delay, signal);
      }
    }
  }

  /** Retries nothing from now on, and goes once `last` is done, which may still send its commands `once`. May be called twice. */
  async close(last: () => Promise<void> = async () => {}): Promise<void> {
    this.#closed = true;
    await last();
    // A connection that never came about has told its caller; there is nothing to close then.
    const producer = await this.#producer?.catch(() => undefined);
    await producer?.queue.close();
    producer?.redis.disconnect();
  }

  async #connected(): Promise<Producer> {
    this.#producer ??= this.#connect();
    try {
      return await this.#producer;
    } catch (error) {
      this.#producer = undefined;
      throw error;
    }
  }

  async #connect(): Promise<Producer> {
    const { server, name, log, jobOptions, eventsKept } = this.#options;
    const redis = await connectTo(server, this.#options);
    const queue = new BullQueue(name, {
      connection: redis,
      streams: { events: { maxLen: eventsKept } },
      defaultJobOptions: jobOptions,
    });
    queue.on('error', (error) => {
      // The command that met a lost connection tells of it.
      if (!isConnectionTrouble(error)) log(`queue: ${sentenceOf(error)}`);
    });
    return { redis, queue };
  }
}
