import { numbers } from '../job/samples.ts';

/** Chance that can be had again: the same seed, the same choices. */
export class Seeded {
  readonly #number: () => number;

  constructor(seed: number) {
    this.#number = numbers(seed);
  }

  /** From 0 up to, not including, 1. */
  next(): number {
    return this.#number() / 2 ** 32;
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
