import type { CounterReading, EnergyReading, Reading } from '../../../src/ports.ts';
import { noSums, type Sums, type Truth, World } from './world.ts';

/** The process that ran the orchestrator is over at this moment. */
export class Over extends Error {}

/** What somebody who looks at the card sees. */
export interface Look {
  /** Milliseconds between two readings. */
  readonly every: number;
  readonly processes?: CounterReading['processes'];
  readonly utilization?: number;
  /** Nothing can be read. */
  readonly silent?: boolean;
}

/** What it tells: a `dead counter` stands still. */
export type Meters = 'all' | 'dead counter' | 'no power';

export interface CardOptions {
  readonly gpu: string;
  readonly device: string;
  readonly pid: number;
  readonly begin: number;
  /** Milliseconds between two updates of its counter. */
  readonly step: number;
  /** It leaves a use of 0 out. */
  readonly dropsZeros: boolean;
  readonly meters: Meters;
  readonly random: () => number;
}

/** The most that it draws. */
export const PEAK = 420;
/** Milliseconds, at most, by which a counter is stamped later than it was read. */
export const LAG = 15;
const DEAD = 500;

/** A card of the simulated month, with the truth about it. */
export class SimulatedCard {
  readonly options: CardOptions;
  readonly world: World;
  readonly truth: Sums = noSums();
  /** How far the ledger may be from the truth, in each category, by what was planted. */
  readonly bound: Sums = noSums();
  /** Milliseconds in which nobody could know anything, and by how much more the ledger may call unknown. */
  readonly blind = { planted: 0, slack: 0, unread: 0 };
  workerUp = false;
  /** Others compute beside its batch. */
  sharing = false;
  /** By how much the clock on the wall was set back so far. */
  #behind = 0;
  /** What it said when that was done. */
  readonly #steps: { readonly at: number; readonly by: number }[] = [];
  /** When it was read last. */
  #read: number;

  constructor(options: CardOptions) {
    this.options = options;
    this.world = new World(options.begin, options.step);
    this.#read = options.begin;
  }

  get pids(): readonly number[] {
    return this.workerUp ? [this.options.pid] : [];
  }

  /** What the clock on the wall says at a moment since it was set last. */
  wall(at: number): number {
    return at - this.#behind;
  }

  setBack(by: number): void {
    this.#steps.push({ at: this.wall(this.world.now), by });
    this.#behind += by;
  }

  /** True millijoules up to a moment of the books, which are never set back. */
  energyAt(wall: number): number {
    const behind = this.#steps.reduce((sum, { at, by }) => (wall > at ? sum + by : sum), 0);
    return this.world.energy(wall + behind);
  }

  get restWatts(): number {
    return this.workerUp ? 28 : 15;
  }

  /** The list of a card on which nobody else computes. */
  alone(share: number): NonNullable<CounterReading['processes']> {
    return this.workerUp ? [{ pid: this.options.pid, share }] : [];
  }

  /** Burnt while nobody looked, and whether its counter began anew meanwhile: then nobody knows how much it was. */
  unseen(millijoules: number, resets: boolean): void {
    if (resets || this.options.meters === 'dead counter') this.blind.unread += millijoules;
    else this.truth.unknown += millijoules;
  }

  allow(millijoules: number, ...truths: readonly Truth[]): void {
    for (const truth of truths) this.bound[truth] += millijoules;
  }

  /**
   * Lets time go by at a power, with somebody looking. Returns what it took.
   * @param end when the process that looks is over
   * @throws Over
   */
  async spend(
    watts: number,
    millis: number,
    { end, look, tell }: { readonly end: number; readonly look: Look; tell(reading: Reading, at: number): void },
  ): Promise<number> {
    const until = Math.min(end, this.world.now + Math.round(millis));
    const burnt = this.world.burn(until, watts);
    if (look.silent === true) this.#read = until - look.every;
    for (; this.#read + look.every <= until; ) {
      this.#read += look.every;
      for (const reading of this.#readings(this.#read, look)) tell(reading, this.#read);
      await undefined;
    }
    if (until === end) throw new Over();
    return burnt;
  }

  /** Nobody looks from here on until then. */
  skipTo(until: number, watts: number): number {
    this.#read = until;
    return this.world.burn(until, watts);
  }

  /** What a worker tells of a window. */
  window(from: number, to: number, foreign: number | null): EnergyReading {
    const { gpu, meters } = this.options;
    const isDead = meters === 'dead counter';
    const counter = isDead ? { from: DEAD, to: DEAD } : { from: this.world.counter(from), to: this.world.counter(to) };
    const sum = { millijoules: Math.round(this.world.energy(to) - this.world.energy(from)), bound: 1_000 };
    const integral = meters === 'no power' ? null : sum;
    const all = isDead ? sum.millijoules : counter.to - counter.from;
    const theirs = foreign === null ? null : Math.round(all * foreign);
    const window = { gpu, from: this.wall(from), to: this.wall(to), counter, integral, foreign: theirs };
    if (theirs !== null && isDead)
      return { millijoules: all - theirs, method: 'derived', meter: 'power_integral', flags: ['implausible'], window };
    const flags = isDead ? (['shared_gpu', 'implausible'] as const) : (['shared_gpu'] as const);
    if (theirs === null) return { millijoules: null, method: 'unknown', meter: 'none', flags, window };
    return { millijoules: all - theirs, method: foreign === 0 ? 'measured' : 'derived', meter: 'nvml_counter', window };
  }

  #readings(at: number, { every, processes, utilization = 0 }: Look): readonly Reading[] {
    const { gpu, dropsZeros, meters, random } = this.options;
    const counter = meters === 'dead counter' ? DEAD : this.world.counter(at - Math.floor(random() * LAG));
    // At a slower pace one reading stands for several, of which one may fail.
    const millijoules = random() < 0.01 && every <= 1_000 ? null : counter;
    const watts = meters === 'no power' ? null : this.world.watts(at - 1);
    const wall = this.wall(at);
    return [
      { kind: 'counter', at: wall, gpu, millijoules, processes: processes ?? this.alone(0) },
      {
        ...{ kind: 'power', at: wall, gpu, watts, instant: true, limit: 450 },
        ...{ memoryUsed: null, memoryTotal: null, temperature: null, fan: null, clock: null, state: null },
        utilization: utilization === 0 && dropsZeros ? null : utilization,
      },
    ];
  }
}
