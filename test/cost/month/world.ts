/** Where energy truly went, whoever notices. */
export const TRUTHS = ['active', 'load', 'failed', 'cancelled', 'lost', 'idle', 'foreign', 'unknown'] as const;
export type Truth = (typeof TRUTHS)[number];
export type Sums = Record<Truth, number>;

export function noSums(): Sums {
  return { active: 0, load: 0, failed: 0, cancelled: 0, lost: 0, idle: 0, foreign: 0, unknown: 0 };
}

/** A repeatable row of numbers, 0 … 1. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A card whose power is known at any time, in stretches of one power each, with a counter as real ones have it. */
export class World {
  /** Begin of each stretch, the power from there on, and all millijoules before it. */
  readonly #from: number[];
  readonly #watts: number[] = [0];
  readonly #before: number[] = [0];
  #end: number;
  /** Truth at the last reset of the counter. */
  #zero = 0;
  readonly #step: number;

  /** @param step milliseconds between two updates of the counter */
  constructor(begin: number, step: number) {
    this.#from = [begin];
    this.#end = begin;
    this.#step = step;
  }

  get now(): number {
    return this.#end;
  }

  /** Goes on at a power; returns the millijoules that this takes. */
  burn(until: number, watts: number): number {
    const before = this.energy(this.#end);
    this.#from.push(this.#end);
    this.#watts.push(watts);
    this.#before.push(before);
    this.#end = until;
    return this.energy(until) - before;
  }

  /** True millijoules up to a moment. */
  energy(at: number): number {
    const place = this.#placeOf(at);
    return (
      (this.#before[place] ?? 0) + (this.#watts[place] ?? 0) * (Math.min(at, this.#end) - (this.#from[place] ?? 0))
    );
  }

  watts(at: number): number {
    return this.#watts[this.#placeOf(at)] ?? 0;
  }

  /** What the counter says at a moment that is not before the last reset. */
  counter(at: number): number {
    const updated = Math.floor(at / this.#step) * this.#step;
    return Math.max(0, Math.floor(this.energy(updated) - this.#zero));
  }

  /** The driver is loaded anew, now. */
  reset(): void {
    this.#zero = this.energy(this.#end);
  }

  #placeOf(at: number): number {
    let [low, high] = [0, this.#from.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#from[middle] ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}
