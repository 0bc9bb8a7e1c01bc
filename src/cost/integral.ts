import type { EpochMillis, Millijoules, Millis, Seconds, Watts } from '../units.ts';

export interface WattRange {
  readonly min: Watts;
  readonly max: Watts;
}

export interface IntegralOptions {
  /** Where the first window begins; not given: at the first sample. */
  readonly from?: EpochMillis;
  /** What the power surely stays in, as 0 … 1.3 x its limit; not given: the range that the samples of the window show. */
  readonly declared?: WattRange;
  /** Of the meter: over a `gap` the figure is coarse, over `missing` nothing is known of what lies between. */
  readonly longest?: { readonly gap: Millis; readonly missing: Millis };
}

export interface IntegralFigures {
  /** Of the time that is not missing. */
  readonly millijoules: Millijoules;
  /** The true energy of that time is at most so far away, whatever happened between the samples. */
  readonly bound: Millijoules;
  /** The same where the power between two samples did not leave what lies between them: levels that last, and ramps. */
  readonly likely: Millijoules;
  readonly coarse: boolean;
  /** Added up; without what is missing. */
  readonly seconds: Seconds;
  readonly missing: Seconds;
  readonly gaps: { readonly count: number; readonly seconds: Seconds };
  /** The highest sample. */
  readonly peak: Watts;
  readonly samples: number;
}

/**
 * Energy from samples of power by the trapezium rule, window after window. An end of a window that was not sampled has
 * the power of the sample next to it. A watt for a millisecond is a millijoule, so no factor is needed; the sums are
 * numbers of 53 bits, in which a year of samples strays by less than a millionth.
 *
 * **Bound.** All that is known of the power between samples is the range [m, M] that it stays in. Over H milliseconds the
 * true energy is in [mH, MH], and both ends of it happen: a power may jump right after one sample, and back right before
 * the next one. So no figure E can promise less than max(MH - E, E - mH); this is the sum over all gaps h between samples
 * a and b of h(M - m)/2 + h|(a + b)/2 - (M + m)/2|, taken on the worse side. How true the meter itself is, is not in it.
 *
 * **Means.** The integral of a mean over T = 1 s, taken over the window, weighs the power by 1 except for two ramps of T at
 * its ends, which miss the window's own by the difference of two parts of at most T/2 x the highest power. That may
 * be above the highest mean; it is taken to be twice as high at most, so T x the highest mean is added for each unbroken
 * piece. With a declared range nothing is added, since [mH, MH] holds for any E.
 */
export class Integral {
  readonly #options: IntegralOptions;
  readonly #longest: { readonly gap: Millis; readonly missing: Millis };
  #from: EpochMillis | null;
  /** May be of the window before. */
  #last: Sample | null = null;
  #sums = new Sums();

  constructor(options: IntegralOptions = {}) {
    this.#options = options;
    this.#from = options.from ?? null;
    this.#longest = options.longest ?? { gap: 1000, missing: 5000 };
  }

  /**
   * Takes a sample; null, and one that is not later than the last, is none.
   * @param instant false where it is a mean over the second before it, and not the power of its moment
   */
  add(at: EpochMillis, watts: Watts | null, instant = true): void {
    const last = this.#last;
    if (watts === null || !(watts >= 0) || (last !== null && at <= last.at)) return;
    this.#from ??= at;
    const sample = { at, watts };
    if (at >= this.#from) {
      this.#sums.samples += 1;
      this.#sums.means ||= !instant;
      this.#sums.peak = Math.max(this.#sums.peak, watts);
      this.#sums.see(watts);
      if (last === null) this.#hold(this.#sums, sample, this.#from, at);
      else this.#join(this.#sums, last, sample, Math.max(last.at, this.#from));
    }
    this.#last = sample;
  }

  /** The window up to `to`, which goes on; null where nothing is known of it. */
  upTo(to: EpochMillis): IntegralFigures | null {
    const sums = this.#sums.copy();
    const from = this.#from ?? to;
    const last = this.#last;
    const begin = Math.max(from, last?.at ?? from);
    if (last === null) sums.miss(Math.max(0, to - begin));
    else if (to > begin) this.#hold(sums, last, begin, to);
    return sums.time > 0 ? figuresOf(sums, this.#options) : null;
  }

  /** Ends the window, and begins the next one there; at the last sample where that is later. */
  cut(at: EpochMillis): IntegralFigures | null {
    const figures = this.upTo(at);
    this.#sums = new Sums();
    this.#from = Math.max(at, this.#last?.at ?? at);
    return figures;
  }

  /** The power of a sample, up to an end that has none. */
  #hold(sums: Sums, { at, watts }: Sample, begin: EpochMillis, end: EpochMillis): void {
    const held = end - begin;
    if (held === 0 || !this.#bridges(sums, Math.max(end - at, at - begin), held)) return;
    sums.see(watts);
    sums.add(held, watts);
    sums.held += held;
  }

  /** Between two samples; of the first one's gap only what is in the window. */
  #join(sums: Sums, one: Sample, two: Sample, begin: EpochMillis): void {
    const gap = two.at - one.at;
    const length = two.at - begin;
    if (length === 0 || !this.#bridges(sums, gap, length)) return;
    const first = one.watts + ((two.watts - one.watts) * (begin - one.at)) / gap;
    const mean = (first + two.watts) / 2;
    sums.see(one.watts);
    sums.add(length, mean);
    sums.turned += length * Math.max(Math.abs(one.watts - mean), Math.abs(two.watts - mean));
  }

  /** Notes a gap; whether it is short enough to be added up. */
  #bridges(sums: Sums, gap: Millis, length: Millis): boolean {
    if (gap > this.#longest.gap) {
      sums.gaps += 1;
      sums.gapTime += length;
    }
    if (gap <= this.#longest.missing) return true;
    sums.miss(length);
    return false;
  }
}

interface Sample {
  readonly at: EpochMillis;
  readonly watts: Watts;
}

/** What a window has come to. */
class Sums {
  time: Millis = 0;
  energy: Millijoules = 0;
  missing: Millis = 0;
  /** Stretches of it. */
  holes = 0;
  gaps = 0;
  gapTime: Millis = 0;
  /** Of ends that have no sample. */
  held: Millis = 0;
  /** What the figure is off by at most where the power went from each sample straight to the next. */
  turned: Millijoules = 0;
  samples = 0;
  /** Any of them is a mean. */
  means = false;
  peak: Watts = 0;
  /** Seen, the last sample before the window included. */
  min: Watts = Number.POSITIVE_INFINITY;
  max: Watts = Number.NEGATIVE_INFINITY;

  copy(): Sums {
    return Object.assign(new Sums(), this);
  }

  see(watts: Watts): void {
    this.min = Math.min(this.min, watts);
    this.max = Math.max(this.max, watts);
  }

  add(length: Millis, watts: Watts): void {
    this.time += length;
    this.energy += length * watts;
  }

  miss(length: Millis): void {
    this.missing += length;
    if (length > 0) this.holes += 1;
  }
}

/** A second at 5 Hz: of fewer samples the range says little. */
const FEW_SAMPLES = 5;
const COARSE_SHARE = 0.05;
/** What a mean is taken over. */
const MEAN_MS: Millis = 1000;

/**
 * How far the true energy can be from a figure of it, while the power stays in a range. By the proof above, nothing less is
 * right for every figure and curve; half of the range holds only for a figure in its middle.
 */
export function boundOf(energy: Millijoules, time: Millis, { min, max }: WattRange): Millijoules {
  // The figure itself is rounded.
  return Math.ceil(Math.max(max * time - energy, energy - min * time)) + 1;
}

function figuresOf(sums: Sums, { declared }: IntegralOptions): IntegralFigures {
  const { time, energy, held, samples } = sums;
  const min = Math.min(sums.min, declared?.min ?? sums.min);
  const max = Math.max(sums.max, declared?.max ?? sums.max);
  const hidden = sums.means && declared === undefined ? MEAN_MS * sums.max * (sums.holes + 1) : 0;
  const bound = boundOf(energy, time, { min, max }) + Math.ceil(hidden);
  const likely = Math.min(bound, Math.ceil(sums.turned + held * (sums.max - sums.min) + hidden) + 1);
  const wide = bound > COARSE_SHARE * energy + 1;
  return {
    millijoules: Math.round(energy),
    bound,
    likely,
    coarse: wide || sums.gaps > 0 || sums.missing > 0 || samples < FEW_SAMPLES,
    seconds: time / 1000,
    missing: sums.missing / 1000,
    gaps: { count: sums.gaps, seconds: sums.gapTime / 1000 },
    peak: samples === 0 ? sums.max : sums.peak,
    samples,
  };
}
