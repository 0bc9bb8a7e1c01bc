import { type Rng, seeded } from '../support/rng.ts';

/** Chance that can be had again: the same seed, the same choices. */
export class Seeded {
  readonly #number: Rng;

  constructor(seed: number) {
    this.#number = seeded(seed);
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    return this.#number();
  }

  /** A whole number from 0 up to, not including, the limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  isTrue(share: number): boolean {
    return this.next() < share;
  }

  pick<Value>(values: readonly Value[]): Value {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError('there is nothing to pick from');
    return value;
  }
}
