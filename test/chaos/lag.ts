import type { Millis } from '../../src/units.ts';

/**
 * How far this process itself is behind its time: what its looks came too late, because its own loop was busy or the
 * machine gave it no processor.
 */
export class Lag {
  readonly #every: Millis;
  #last: Millis | null = null;
  #total: Millis = 0;

  /** @param every how often it is looked */
  constructor(every: Millis) {
    this.#every = every;
  }

  /** Of all looks so far. */
  get total(): Millis {
    return this.#total;
  }

  look(at: Millis): void {
    if (this.#last !== null) this.#total += Math.max(0, at - this.#last - this.#every);
    this.#last = at;
  }
}
