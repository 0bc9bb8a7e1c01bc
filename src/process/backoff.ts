import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';

export interface Backoff {
  readonly first: Millis;
  readonly most: Millis;
  /** The share of a delay, 0 … 1, that chance may take off it, so that many waiters do not return at once. */
  readonly jitter: number;
}

const BACKOFF: Backoff = { first: 1_000, most: 60_000, jitter: 0.25 };

/**
 * How long to wait before try number `attempt` after a failure: doubling from `first` up to `most`.
 * Attempt 0 is the first try and does not wait.
 * @param rng a number from 0 up to, not including, 1
 */
export function backoffDelay(attempt: number, rng: () => number, backoff: Backoff = BACKOFF): Millis {
  if (attempt <= 0) return 0;
  const full = Math.min(backoff.most, backoff.first * 2 ** (attempt - 1));
  return Math.round(full * (1 - backoff.jitter * rng()));
}

/** When something that fails may be started again: later after each failure in a row. */
export class Restarts {
  readonly #clock: Clock;
  readonly #rng: () => number;
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, rng: () => number) {
    this.#clock = clock;
    this.#rng = rng;
  }

  failed(): void {
    this.#failures += 1;
    this.#notBefore = this.#clock.monotonic() + backoffDelay(this.#failures, this.#rng);
  }

  /** It has shown that it works. */
  succeeded(): void {
    this.#failures = 0;
  }

  remaining(): Millis {
    return Math.max(0, this.#notBefore - this.#clock.monotonic());
  }
}
