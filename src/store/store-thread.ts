import { Worker } from 'node:worker_threads';
import { StorageError, sentenceOf } from '../errors.ts';
import { type Answer, type Call, type Calls, receivedError } from './protocol.ts';

/**
 * The young generation is small, because pages of rows are short-lived. The old one has room for many
 * pages of very long prompts: a thread that meets this limit takes the whole process with it.
 */
const LIMITS = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 8 };

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The main thread's end of the channel. A thread that ends takes all waiting calls with it, and says so. */
export class StoreThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended: Promise<void>;
  #lastId = 0;
  #gone: StorageError | undefined;

  constructor() {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
    this.#worker = new Worker(new URL(`./thread.${extension}`, import.meta.url), {
      name: 'kilnwatt store',
      resourceLimits: LIMITS,
      execArgv: [],
    });
    this.#worker.on('message', (answer: Answer) => this.#settle(answer));
    this.#worker.on('messageerror', (error) => this.#lose(`sent something unreadable: ${sentenceOf(error)}`, error));
    this.#worker.on('error', (error) => this.#lose(sentenceOf(error), error));
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#lose(`exit code ${code}`);
        resolve();
      });
    });
  }

  call<Name extends keyof Calls>(name: Name, ...args: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]>> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) throw this.#gone;
      const call: Call<Name> = { id: ++this.#lastId, name, args };
      this.#worker.postMessage(call);
      this.#waiting.set(call.id, { resolve: (value) => resolve(value as ReturnType<Calls[Name]>), reject });
    });
  }

  /** True once the thread has ended, by itself or by `close`. */
  gone(): boolean {
    return this.#gone !== undefined;
  }

  /** Resolves when the thread has ended. */
  ended(): Promise<void> {
    return this.#ended;
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }

  #settle(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.ok) waiting?.resolve(answer.value);
    else waiting?.reject(receivedError(answer.error));
  }

  #lose(reason: string, cause?: unknown): void {
    const message = `the database thread has ended (${reason}); nothing is half-written, start kilnwatt again`;
    this.#gone ??= new StorageError(message, { code: 'store_gone', cause });
    for (const waiting of this.#waiting.values()) waiting.reject(this.#gone);
    this.#waiting.clear();
  }
}
