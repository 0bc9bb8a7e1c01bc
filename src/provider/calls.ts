import { UnavailableError } from '../errors.ts';

/**
 * The calls that are under way at a provider, so that its `close` ends them. Each gets a signal that is aborted by
 * the caller's or by `close`; it is made by hand, because `AbortSignal.any` on one long-lived signal keeps memory.
 */
export class Calls {
  readonly #provider: string;
  readonly #running = new Set<AbortController>();
  #closed = false;

  constructor(provider: string) {
    this.#provider = provider;
  }

  /** @throws UnavailableError `provider_closed` after `close` */
  async run<Value>(signal: AbortSignal | undefined, call: (signal: AbortSignal) => Promise<Value>): Promise<Value> {
    if (this.#closed) throw this.#closedError();
    signal?.throwIfAborted();
    const running = new AbortController();
    const onAbort = () => running.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#running.add(running);
    try {
      return await call(running.signal);
    } finally {
      this.#running.delete(running);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  close(): void {
    this.#closed = true;
    for (const running of this.#running) running.abort(this.#closedError());
  }

  #closedError(): UnavailableError {
    return new UnavailableError(`the ${this.#provider} provider is closed and makes no more pictures`, {
      code: 'provider_closed',
    });
  }
}
