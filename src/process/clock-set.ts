import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';

/** Notices that the time of day was set back: whoever waits for a time would wait for too long then. */
export class ClockSet {
  readonly #clock: Pick<Clock, 'now' | 'monotonic'>;
  #difference: Millis;

  constructor(clock: Pick<Clock, 'now' | 'monotonic'>) {
    this.#clock = clock;
    this.#difference = this.#measure();
  }

  /** Whether it was set back by more than a correction of a running clock takes, since it was heeded last. */
  get wasSetBack(): boolean {
    const difference = this.#measure();
    // Forward, also by a sleep of the host: from then on less is noticed as set back.
    this.#difference = Math.max(this.#difference, difference);
    return this.#difference - difference > CORRECTION_MS;
  }

  heeded(): void {
    this.#difference = this.#measure();
  }

  #measure(): Millis {
    return this.#clock.now() - this.#clock.monotonic();
  }
}

const CORRECTION_MS: Millis = 30_000;
