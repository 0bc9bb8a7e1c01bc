import { type AppError, sentenceOf, UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { Restarts } from '../process/backoff.ts';
import { pause } from '../process/clock.ts';
import type { Valkey } from './valkey.ts';

export interface KeepRunningOptions {
  start(): Promise<Valkey>;
  readonly clock: Clock;
  log(line: string): void;
  /** Whether the disk of its folder has room to go on. Asked before each start but the first. */
  room(): Promise<boolean>;
  /** True when the server ended and there is no room to start it again; false when there is. */
  onFull(full: boolean): void;
  /** It does not come up any more; told once. */
  onLost(error: AppError): void;
}

/** So many starts in a row may fail, or end at once. */
const ATTEMPTS = 5;
/** A server that ran this long had come up well. */
const WELL_MS = 10_000;
const ROOM_POLL_MS = 5_000;

/**
 * Starts the server and, whenever it ends unasked, starts it again on the same socket, where its clients
 * find it by themselves. With its append-only file nothing that was acknowledged is lost. The server ends
 * when its disk is full; then it is not started before there is room, however long that takes.
 * @throws what the first start throws, where another try cannot help
 */
export async function keepRunning(options: KeepRunningOptions): Promise<{ stop(): Promise<void> }> {
  const keeper = new Keeper(options, await firstStart(options));
  return { stop: () => keeper.stop() };
}

async function firstStart({ start, clock, log }: KeepRunningOptions): Promise<Valkey> {
  const restarts = new Restarts(clock, () => 0.5);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof UnavailableError) || !error.retryable || attempt === ATTEMPTS) throw error;
      log(`queue: the server did not come up (${sentenceOf(error)}); it is started again`);
      restarts.failed();
      await pause(clock, restarts.remaining());
    }
  }
}

class Keeper {
  readonly #options: KeepRunningOptions;
  readonly #watching: Promise<void>;
  readonly #stopping = new AbortController();
  #server: Valkey;

  constructor(options: KeepRunningOptions, server: Valkey) {
    this.#options = options;
    this.#server = server;
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#server.stop();
    await this.#watching;
  }

  async #watch(): Promise<void> {
    const { clock, log, onLost } = this.#options;
    const restarts = new Restarts(clock, () => 0.5);
    let reason = 'it ended by itself';
    for (let failures = 0; failures < ATTEMPTS; ) {
      const began = clock.monotonic();
      await this.#server.exited;
      if (this.#stopping.signal.aborted) return;
      if (clock.monotonic() - began > WELL_MS) failures = 0;
      failures += 1;
      log(`queue: the server ended (${reason})`);
      restarts.failed();
      try {
        await pause(clock, failures === 1 ? 0 : restarts.remaining(), this.#stopping.signal);
        if (await this.#waitForRoom()) failures = 0;
        log('queue: the server is started again');
        this.#server = await this.#options.start();
        // A stop that came meanwhile stopped only the one before.
        if (this.#stopping.signal.aborted) return await this.#server.stop();
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        reason = sentenceOf(error);
      }
    }
    const sentence = `the queue's own server does not stay up (${reason}); look at the disk of the data folder, then start again`;
    onLost(new UnavailableError(sentence, { code: 'redis_unavailable' }));
  }

  /** Whether it had to wait. */
  async #waitForRoom(): Promise<boolean> {
    const { clock, log, room, onFull } = this.#options;
    if (await room()) return false;
    log('queue: the disk of the data folder is full; the server waits for room');
    onFull(true);
    do {
      await pause(clock, ROOM_POLL_MS, this.#stopping.signal);
    } while (!(await room()));
    onFull(false);
    return true;
  }
}
