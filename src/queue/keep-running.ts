import { type AppError, sentenceOf, UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { Restarts } from '../process/backoff.ts';
import { pause } from '../process/clock.ts';
import type { Valkey } from './valkey.ts';

export interface KeepRunningOptions {
  start(): Promise<Valkey>;
  readonly clock: Clock;
  log(line: string): void;
  /** Whether the disk of its folder has room to go on. Asked before each start. */
  room(): Promise<boolean>;
  /** It does not come up any more; told once. */
  onLost(error: AppError): void;
}

export interface KeptRunning {
  stop(): Promise<void>;
  /** Ends a server that runs and is of no use, and starts it again; one that is just being started is left alone. */
  restart(reason: string): void;
}

/** So many starts in a row may fail, or end at once. */
const ATTEMPTS = 5;
/** A server that ran this long had come up well. */
const WELL_MS = 10_000;
const ROOM_POLL_MS = 5_000;
const BY_ITSELF = 'it ended by itself';

/**
 * Starts the server and, whenever it ends unasked, starts it again on the same socket, where its clients
 * find it by themselves. With its append-only file nothing that was acknowledged is lost. The server ends
 * when its disk is full; then it is not started before there is room, however long that takes.
 * @throws what the first start throws, where another try cannot help
 */
export async function keepRunning(options: KeepRunningOptions): Promise<KeptRunning> {
  const keeper = new Keeper(options, await firstStart(options));
  return { stop: () => keeper.stop(), restart: (reason) => keeper.restart(reason) };
}

async function firstStart(options: KeepRunningOptions): Promise<Valkey> {
  const { start, clock, log, room } = options;
  const restarts = new Restarts(clock, () => 0.5);
  for (let failures = 0; ; ) {
    await waitForRoom(options);
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      // One whose disk became full meanwhile says nothing of the server.
      if (await room()) failures += 1;
      if (failures > 0 && (!error.retryable || failures === ATTEMPTS)) throw error;
      log(`queue: the server did not come up (${sentenceOf(error)}); it is started again`);
      restarts.failed();
      await pause(clock, restarts.remaining());
    }
  }
}

/** Whether it had to wait. */
async function waitForRoom({ clock, log, room }: KeepRunningOptions, signal?: AbortSignal): Promise<boolean> {
  if (await room()) return false;
  log('queue: the disk of the data folder is full; the server waits for room');
  do {
    await pause(clock, ROOM_POLL_MS, signal);
  } while (!(await room()));
  return true;
}

class Keeper {
  readonly #options: KeepRunningOptions;
  readonly #watching: Promise<void>;
  readonly #stopping = new AbortController();
  #server: Valkey;
  /** It has come up, and nobody has ended it. */
  #isUp = true;
  /** Why it is to end, or did not come up. */
  #reason = BY_ITSELF;

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

  restart(reason: string): void {
    if (!this.#isUp) return;
    const { log } = this.#options;
    this.#isUp = false;
    this.#reason = reason;
    log(`queue: the server is ended, because ${reason}`);
    this.#server.stop().catch((error: unknown) => log(`queue: ${sentenceOf(error)}`));
  }

  async #watch(): Promise<void> {
    const { clock, log, onLost } = this.#options;
    const { signal } = this.#stopping;
    // One that the kernel does not let go, not even with SIGKILL, must not hold up a stop.
    const stopped = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    const restarts = new Restarts(clock, () => 0.5);
    for (let failures = 0; failures < ATTEMPTS; ) {
      const began = clock.monotonic();
      await Promise.race([this.#server.exited, stopped]);
      if (signal.aborted) return;
      this.#isUp = false;
      if (clock.monotonic() - began > WELL_MS) failures = 0;
      failures += 1;
      log(`queue: the server ended (${this.#reason})`);
      restarts.failed();
      try {
        await pause(clock, failures === 1 ? 0 : restarts.remaining(), signal);
        if (await waitForRoom(this.#options, signal)) failures = 0;
        log('queue: the server is started again');
        await this.#startAgain();
      } catch (error) {
        if (signal.aborted) return;
        this.#reason = sentenceOf(error);
      }
    }
    const sentence = `the queue's own server does not stay up (${this.#reason}); look at the disk of the data folder, then start again`;
    onLost(new UnavailableError(sentence, { code: 'redis_unavailable' }));
  }

  async #startAgain(): Promise<void> {
    this.#server = await this.#options.start();
    this.#isUp = true;
    this.#reason = BY_ITSELF;
    // A stop that came meanwhile stopped only the one before.
    if (this.#stopping.signal.aborted) await this.#server.stop();
  }
}
