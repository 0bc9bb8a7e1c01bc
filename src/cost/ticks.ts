import type { CounterReading, LostReading, PowerReading } from '../ports.ts';
import type { EpochMillis, Millijoules, Millis, Watts } from '../units.ts';
import type { BookMoment } from './book-time.ts';
import type { PowerSamples } from './power-samples.ts';
import { type Look, lookOf } from './strangers.ts';

export type CardReading = PowerReading | CounterReading | LostReading;
/** At its time in the books. */
export type BookReading = (PowerReading | CounterReading) & BookMoment;

/** A moment at which a mark may stand, and what went on since the one before. */
export interface Tick extends BookMoment {
  readonly counter: Millijoules | null;
  readonly look: Look;
}

/** How long a row of power waits for the counter of its moment, which comes from another program. */
const PATIENCE: Millis = 5_000;
/** Where the counter is not to be had, how often samples of power make a tick. */
const PACE: Millis = 1_000;
/** A list of processes is believed for so long. */
const FRESH: Millis = 5_000;
/** Use is told as a mean over up to a second: what our own batch did is not taken for others' so long after it. */
export const AFTERGLOW: Millis = 2_000;

/** Turns the readings of a card, from several programs, into one row of ticks. Time never goes backwards in it. */
export class Ticks {
  readonly #samples: PowerSamples;
  /** The counter has answered lately. */
  #counts = true;
  /** Of the first row of power since the last tick. */
  #waiting: EpochMillis | null = null;
  #at: EpochMillis = Number.NEGATIVE_INFINITY;
  #sampled: EpochMillis = Number.NEGATIVE_INFINITY;
  #list: CounterReading | null = null;
  #known = false;
  #floor: Watts | null = null;
  #use = new Mean();
  #power = new Mean();
  #limit: Watts | null = null;

  constructor(samples: PowerSamples) {
    this.#samples = samples;
  }

  /** In force, as the card told last. */
  get limit(): Watts | null {
    return this.#limit;
  }

  /** The meter of the counter has fallen silent. */
  lost(): void {
    this.#counts = false;
  }

  /**
   * @param reading at its time in the books
   * @param ours pids of our workers on the card
   * @param quietFrom no batch of ours has been under way since then; null while one is
   */
  read(reading: BookReading, ours: readonly number[], quietFrom: EpochMillis | null): Tick | null {
    if (reading.kind === 'counter') {
      this.#list = reading;
      this.#known ||= reading.processes?.some(({ pid }) => ours.includes(pid)) ?? false;
      if (reading.millijoules === null) return null;
      this.#counts = true;
      const moment = { at: Math.max(reading.at, this.#at), lag: reading.lag };
      return this.#tick(moment, reading.millijoules, ours, quietFrom);
    }
    const at = Math.max(reading.at, this.#sampled);
    // After a silence of all meters the counter, too, has its time to answer.
    if (at - this.#sampled > PATIENCE) this.#waiting = null;
    this.#sampled = at;
    this.#sample(reading, { at, lag: reading.lag }, quietFrom);
    this.#waiting ??= at;
    if (at - this.#waiting < (this.#counts ? PATIENCE : PACE)) return null;
    this.#counts = false;
    return this.#tick({ at: Math.max(at, this.#at), lag: reading.lag }, null, ours, quietFrom);
  }

  #sample(reading: PowerReading, moment: BookMoment, quietFrom: EpochMillis | null): void {
    this.#limit = reading.limit ?? this.#limit;
    if (reading.watts !== null) {
      this.#samples.add(moment, reading.watts, reading.instant);
      this.#power.add(reading.watts);
    }
    const isOurs = quietFrom !== null && moment.at < quietFrom + AFTERGLOW;
    if (reading.utilization !== null) this.#use.add(isOurs ? 0 : reading.utilization);
  }

  #tick(
    { at, lag }: BookMoment,
    counter: Millijoules | null,
    ours: readonly number[],
    quietFrom: EpochMillis | null,
  ): Tick {
    const watts = this.#power.take();
    if (quietFrom !== null && at > quietFrom + AFTERGLOW && watts !== null)
      this.#floor = Math.min(this.#floor ?? watts, watts);
    const list = this.#list !== null && at - this.#list.at <= FRESH ? this.#list.processes : null;
    const use = this.#use.take();
    // Samples from before the end of a batch are of its own use.
    const utilization = use !== null && quietFrom !== null && at < quietFrom + AFTERGLOW ? 0 : use;
    const look = lookOf({ processes: list, ours, known: this.#known, utilization, watts, floor: this.#floor });
    this.#at = at;
    this.#waiting = null;
    return { at, lag, counter, look };
  }
}

/** What part others had of what was burnt, over ticks that follow each other. */
export class Beside {
  /** By what was burnt, and where the counter stands, as if it had burnt evenly. */
  readonly #burnt = new Part();
  readonly #time = new Part();
  #told = true;
  #listed = true;

  add(before: Pick<Tick, 'at' | 'counter'>, { at, counter, look }: Tick): void {
    const rise = counter === null || before.counter === null ? -1 : counter - before.counter;
    const time = Math.max(0, at - before.at);
    if (look.share === null) this.#told = false;
    this.#listed &&= look.told;
    this.#burnt.add(rise >= 0 ? rise : time, look.share ?? 0);
    this.#time.add(time, look.share ?? 0);
  }

  /** Null where it is not told of some of it. */
  get share(): number | null {
    if (!this.#told) return null;
    return this.#burnt.share ?? this.#time.share ?? 0;
  }

  /** A list of processes told who was there, all of the time. */
  get listed(): boolean {
    return this.#listed;
  }
}

class Part {
  #part = 0;
  #all = 0;

  add(weight: number, share: number): void {
    this.#part += weight * share;
    this.#all += weight;
  }

  /** Null of nothing. */
  get share(): number | null {
    return this.#all === 0 ? null : Math.min(1, this.#part / this.#all);
  }
}

class Mean {
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#sum += value;
    this.#count += 1;
  }

  /** Since the last call; null of nothing. */
  take(): number | null {
    const mean = this.#count === 0 ? null : this.#sum / this.#count;
    this.#sum = 0;
    this.#count = 0;
    return mean;
  }
}
