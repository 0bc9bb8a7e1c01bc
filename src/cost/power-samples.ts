import type { EpochMillis, Millijoules, Watts } from '../units.ts';
import { SILENCE } from './chain.ts';

/** Of power that is a mean over the last second, what lies at the ends of a span may be of before and after it. */
const SMEAR_MS = 1_000;

/** Samples of a card's power, in the order of their times, for as long as somebody may ask for their sum. */
export class PowerSamples {
  readonly #at: EpochMillis[] = [];
  readonly #watts: Watts[] = [];
  /** Those before it are forgotten. */
  #first = 0;
  #smeared = false;

  add(at: EpochMillis, watts: Watts, instant: boolean): void {
    this.#smeared ||= !instant;
    this.#at.push(at);
    this.#watts.push(watts);
  }

  /** What is not needed for spans that begin at `at` or later. */
  forget(at: EpochMillis): void {
    while (this.#first + 1 < this.#at.length && (this.#at[this.#first + 1] ?? at) <= at) this.#first += 1;
    if (this.#first < 1_000) return;
    this.#at.splice(0, this.#first);
    this.#watts.splice(0, this.#first);
    this.#first = 0;
  }

  /**
   * By the trapezium rule; the ends hold the nearest sample. The bound is half of each gap times the range of the power
   * seen: as far as the true value can be away while the power stays in that range. Null where it was not sampled for long.
   */
  integral(from: EpochMillis, to: EpochMillis): { millijoules: Millijoules; bound: Millijoules } | null {
    if (from === to) return { millijoules: 0, bound: 0 };
    let place = this.#before(from);
    let [sum, least, most] = [0, Number.POSITIVE_INFINITY, 0];
    let at = from;
    while (at < to) {
      const [left, right] = [this.#sample(place), this.#sample(place + 1)];
      if (left === null || right === null) return null;
      const end = right.at > at ? Math.min(to, right.at) : to;
      if (Math.max(right.at, end) - Math.min(left.at, at) > SILENCE) return null;
      sum += ((valueAt(left, right, at) + valueAt(left, right, end)) / 2) * (end - at);
      least = Math.min(least, left.watts, right.watts);
      most = Math.max(most, left.watts, right.watts);
      at = end;
      place += 1;
    }
    const bound = (most - least) * ((to - from) / 2 + (this.#smeared ? SMEAR_MS : 0));
    return { millijoules: Math.round(sum), bound: Math.ceil(bound) };
  }

  /** Place of the last sample that is not after `at`; one before the first where there is none. */
  #before(at: EpochMillis): number {
    let [low, high] = [this.#first, this.#at.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#at[middle] ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The sample at a place; beyond the ends the nearest one. */
  #sample(place: number): Sample | null {
    const inside = Math.max(this.#first, Math.min(place, this.#at.length - 1));
    const [at, watts] = [this.#at[inside], this.#watts[inside]];
    return at === undefined || watts === undefined ? null : { at, watts };
  }
}

interface Sample {
  readonly at: EpochMillis;
  readonly watts: Watts;
}

function valueAt(left: Sample, right: Sample, at: EpochMillis): Watts {
  if (at <= left.at || left.at === right.at) return left.watts;
  if (at >= right.at) return right.watts;
  return left.watts + ((right.watts - left.watts) * (at - left.at)) / (right.at - left.at);
}
