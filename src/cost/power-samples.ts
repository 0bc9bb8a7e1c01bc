import type { EpochMillis, Millijoules, Millis, Watts } from '../units.ts';
import type { BookMoment } from './book-time.ts';
import { Integral } from './integral.ts';

/** Samples of a card's power, in the order of their times, for as long as somebody may ask for their sum. */
export class PowerSamples {
  readonly #samples: Sample[] = [];
  /** Those before it are forgotten. */
  #first = 0;

  add({ at, lag }: BookMoment, watts: Watts, instant: boolean): void {
    this.#samples.push({ at, lag, watts, instant });
  }

  /** What is not needed for spans that begin at `at` or later. */
  forget(at: EpochMillis): void {
    while ((this.#samples[this.#first + 1]?.at ?? Number.POSITIVE_INFINITY) <= at) this.#first += 1;
    if (this.#first < 1_000) return;
    this.#samples.splice(0, this.#first);
    this.#first = 0;
  }

  /**
   * With the bound of {@link Integral}. Null where it was not sampled for longer than that bridges, and where every sample
   * says 0: no card draws nothing, so that is how one says that it does not know.
   */
  integral(from: EpochMillis, to: EpochMillis): { millijoules: Millijoules; bound: Millijoules } | null {
    if (from === to) return { millijoules: 0, bound: 0 };
    const begin = this.#after(from) - 1;
    const sum = new Integral({ from: from + this.#lagOf(begin) });
    let place = Math.max(this.#first, begin);
    let sample = this.#samples[place];
    for (; sample !== undefined && sample.at <= to; place += 1) {
      sum.add(sample.at + sample.lag, sample.watts, sample.instant);
      sample = this.#samples[place + 1];
    }
    const figures = sum.upTo(to + this.#lagOf(place - 1));
    if (figures === null || figures.missing > 0 || figures.peak === 0) return null;
    return { millijoules: figures.millijoules, bound: figures.bound };
  }

  /** Place of the first sample that is after `at`. */
  #after(at: EpochMillis): number {
    let [low, high] = [this.#first, this.#samples.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#samples[middle]?.at ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #lagOf(place: number): Millis {
    return (this.#samples[Math.max(this.#first, place)] ?? { lag: 0 }).lag;
  }
}

interface Sample extends BookMoment {
  readonly watts: Watts;
  readonly instant: boolean;
}
