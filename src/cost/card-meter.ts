import type { CounterReading, PowerReading } from '../ports.ts';
import type { EpochMillis, Millijoules, Millis, Seconds, Watts } from '../units.ts';
import { IdleDraw } from './idle-draw.ts';
import { Integral, type IntegralFigures } from './integral.ts';

export interface CardFigures {
  /** From its first reading to its last. */
  readonly seconds: Seconds;
  /** By its own counter; where that fell or is not to be believed, that stretch by its integral. Null before two readings. */
  readonly energy_counter_j: number | null;
  /** From the first reading of its counter to the last, which may be less than all; null without that energy. */
  readonly counter_seconds: Seconds | null;
  /** By the samples of its power, of the time that is not missing; null without any. */
  readonly energy_integral_j: number | null;
  /** How far off that is at most, and where the power went straight from each sample to the next. */
  readonly bound_j: number | null;
  readonly likely_j: number | null;
  readonly coarse: boolean;
  /** Integral / counter over the same time, as in receipts; null where there is none that has both. */
  readonly integral_ratio: number | null;
  /** How long that is: between two readings of the counter, and sampled throughout; null without that ratio. */
  readonly ratio_seconds: Seconds | null;
  /** Longer than a second without a sample: how many, and how long. */
  readonly gaps: number;
  readonly gap_seconds: Seconds;
  /** Of them those over five seconds, which are in no integral. */
  readonly missing_seconds: Seconds;
  readonly peak_w: Watts | null;
  readonly idle_w: Watts | null;
  readonly flags: readonly CardFlag[];
}

/** `unfilled`: the counter fell, and the stretch was not sampled throughout, so that more was burnt than is told. */
export type CardFlag = 'counter_fell' | 'implausible' | 'unfilled' | 'disagrees' | 'mean_power';

/** A card's counter and the integral of its power, side by side. */
export class CardMeter {
  readonly #idle = new IdleDraw();
  readonly #flags = new Set<CardFlag>();
  #first: EpochMillis | null = null;
  #last: EpochMillis = 0;
  /** Of all the time. */
  #whole: Integral | null = null;
  /** Since the last reading of the counter. */
  #since: Integral | null = null;
  #limit: Watts | null = null;
  #count: { readonly at: EpochMillis; readonly millijoules: Millijoules } | null = null;
  #counted: Millijoules | null = null;
  #countedSince: EpochMillis = 0;
  /** Over stretches that have both. */
  readonly #both = { counter: 0, integral: 0, time: 0 };

  power(reading: PowerReading): void {
    const { at, watts, limit, instant } = reading;
    this.#touch(at);
    this.#limit = limit ?? this.#limit;
    this.#idle.add(reading);
    if (watts === null) return;
    if (!instant) this.#flags.add('mean_power');
    this.#whole ??= new Integral({ from: this.#first ?? at });
    this.#since ??= new Integral({ from: this.#count?.at ?? at });
    this.#whole.add(at, watts, instant);
    this.#since.add(at, watts, instant);
  }

  counter({ at, millijoules }: CounterReading): void {
    this.#touch(at);
    const before = this.#count;
    // One that does not answer for a while goes on where it is heard again.
    if (millijoules === null || (before !== null && at <= before.at)) return;
    this.#count = { at, millijoules };
    const integral = this.#since?.cut(at) ?? null;
    if (before === null) this.#countedSince = at;
    else this.#book({ span: at - before.at, rise: millijoules - before.millijoules, integral });
  }

  get figures(): CardFigures {
    const integral = this.#whole?.upTo(this.#last) ?? null;
    const { counter, integral: summed, time } = this.#both;
    const compared = counter > 0 && summed > 0;
    const disagrees = time >= LONG_MS && Math.abs(summed - counter) > 0.1 * counter;
    return {
      seconds: (this.#last - (this.#first ?? 0)) / 1000,
      energy_counter_j: joules(this.#counted),
      counter_seconds: this.#counted === null ? null : ((this.#count?.at ?? 0) - this.#countedSince) / 1000,
      energy_integral_j: joules(integral?.millijoules ?? null),
      bound_j: joules(integral?.bound ?? null),
      likely_j: joules(integral?.likely ?? null),
      coarse: integral?.coarse ?? false,
      integral_ratio: compared ? Number((summed / counter).toFixed(4)) : null,
      ratio_seconds: compared ? time / 1000 : null,
      gaps: integral?.gaps.count ?? 0,
      gap_seconds: integral?.gaps.seconds ?? 0,
      missing_seconds: integral?.missing ?? 0,
      peak_w: integral?.peak ?? null,
      idle_w: this.#idle.watts,
      flags: [...this.#flags, ...(disagrees ? (['disagrees'] as const) : [])],
    };
  }

  #book({ span, rise, integral }: { span: Millis; rise: Millijoules; integral: IntegralFigures | null }): void {
    const most = (this.#limit === null ? NO_CARD_DRAWS : MOST_OVER_LIMIT * this.#limit) * (span + STEP_MS);
    const believed = rise >= 0 && rise <= most;
    const sampled = integral !== null && integral.missing === 0;
    if (believed) {
      this.#counted = (this.#counted ?? 0) + rise;
      // After a second without a sample the last one is held, which is no second opinion.
      if (!sampled || integral.gaps.count > 0) return;
      this.#both.counter += rise;
      this.#both.integral += integral.millijoules;
      this.#both.time += span;
      return;
    }
    this.#flags.add(rise < 0 ? 'counter_fell' : 'implausible');
    if (!sampled) this.#flags.add('unfilled');
    this.#counted = (this.#counted ?? 0) + (integral?.millijoules ?? 0);
  }

  #touch(at: EpochMillis): void {
    this.#first ??= at;
    this.#last = Math.max(this.#last, at);
  }
}

/** A card draws more than its limit for moments only. */
const MOST_OVER_LIMIT = 1.3;
/** Where the limit is not told. */
const NO_CARD_DRAWS: Watts = 2000;
/** A counter moves in steps of up to a tenth of a second; one may come early, and one late. */
const STEP_MS: Millis = 200;
/** Over less, the counter's steps alone can make the two differ. */
const LONG_MS: Millis = 10_000;

function joules(millijoules: Millijoules | null): number | null {
  return millijoules === null ? null : millijoules / 1000;
}
