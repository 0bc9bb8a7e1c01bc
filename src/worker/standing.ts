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
    const now = quarantineAt(this.#breaker, this.#clock.monotonic());
    return now === null ? null : { reason: now.reason, until: Math.round(this.#clock.now() + now.left) };
  }

  /** What is left of the quarantine; 0 where there is none. */
  get quarantineLeft(): Millis {
    return quarantineAt(this.#breaker, this.#clock.monotonic())?.left ?? 0;
  }

  /** What is left of the back-off. */
  get wait(): Millis {
    return this.#restarts.remaining();
  }

  died(sentence: string): void {
    this.#restarts.failed();
    this.#breaker = afterDeath(this.#breaker, { at: this.#clock.monotonic(), sentence }, this.#rule);
  }

  finishedBatch(): void {
    this.#restarts.succeeded();
    this.#breaker = CLOSED;
  }
}
