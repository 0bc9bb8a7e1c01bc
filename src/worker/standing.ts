import type { Clock } from '../ports.ts';
import { Restarts } from '../process/backoff.ts';
import type { Millis } from '../units.ts';
import { afterDeath, type BreakerRule, type BreakerState, CLOSED, type Quarantine, quarantineAt } from './breaker.ts';

/** When the worker of a device may be started, after how its predecessors ended. */
export class Standing {
  readonly #clock: Clock;
  readonly #rule: BreakerRule;
  readonly #restarts: Restarts;
  #breaker: BreakerState = CLOSED;

  constructor(options: { readonly clock: Clock; readonly rule: BreakerRule; rng(): number }) {
    this.#clock = options.clock;
    this.#rule = options.rule;
    this.#restarts = new Restarts(options.clock, () => options.rng());
  }

  get quarantine(): Quarantine | null {
    return quarantineAt(this.#breaker, this.#clock.now());
  }

  /** What is left of the back-off. */
  get wait(): Millis {
    return this.#restarts.remaining();
  }

  died(sentence: string): void {
    this.#restarts.failed();
    this.#breaker = afterDeath(this.#breaker, { at: this.#clock.now(), sentence }, this.#rule);
  }

  finishedBatch(): void {
    this.#restarts.succeeded();
    this.#breaker = CLOSED;
  }
}
