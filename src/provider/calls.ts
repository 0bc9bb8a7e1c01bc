import { UnavailableError } from '../errors.ts';

/**
 * The calls that are under way at a provider, so that its `close` ends them. Each gets a signal that is aborted by
 * the caller's or by `close`; it is made by hand, because `AbortSignal.any` on one long-lived signal keeps memory.
 */
export class Calls {
  readonly #provider: string;
  /** With its device. */
  readonly #running = new Map<AbortController, string>();
  #closed = false;

  constructor(provider: string) {
    this.#provider = provider;
  }

  /** @throws UnavailableError `provider_closed` after `close` */
  async run<Value>(
    device: string,
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    if (this.#closed) throw this.#closedError();
    signal?.throwIfAborted();
    const running = new AbortController();
    const onAbort = () => running.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#running.set(running, device);
    try {
      return await call(running.signal);
    } finally {
      this.#running.delete(running);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** @throws Error while a call is under way on the device: a mistake of the caller's, which no user can mend */
  requireIdle(device: string): void {
    if ([...this.#running.values()].includes(device)) throw new Error(`${device} has a batch under way`);
  }

  close(): void {
    this.#closed = true;
    for (const running of this.#running.keys()) running.abort(this.#closedError());
  }

  #closedError(): UnavailableError {
    return new UnavailableError(`the ${this.#provider} provider is closed and makes no more pictures`, {
      code: 'provider_closed',
    });
  }
}
