import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';

/** How long the steps of an engine take, from one sign of progress to the next. */
export class Pace {
  readonly #clock: Clock;
  #longest: Millis = 0;
  #since: Millis;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.monotonic();
  }

  /** A batch begins: what lay before it was no step. */
  begin(): void {
    this.#since = this.#clock.monotonic();
  }

  step(): void {
    this.#longest = this.longest;
    this.begin();
  }

  /** Of all its batches, with the step that is under way. */
  get longest(): Millis {
    return Math.max(this.#longest, this.#clock.monotonic() - this.#since);
  }
}
