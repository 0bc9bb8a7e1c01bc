import type { EpochMillis, Millis } from '../../src/units.ts';
import type { StrikeKind } from './schedule.ts';
import type { Sample } from './watch.ts';

/** What the log of kilnwatt, or of its worker, says at one moment. */
export type Word = 'loaded' | 'begun';

/** A part of a recovery, as it is counted. */
export type Part =
  | 'worker_to_dispatchable'
  | 'worker_loaded_to_running'
  | 'orchestrator_to_dispatchable'
  | 'redis_to_progress'
  | 'hang_to_found'
  | 'hang_to_dispatchable';

export interface Figure {
  readonly part: Part;
  readonly took: Millis;
  /** How much later whoever measured was itself in that time. */
  readonly lag: Millis;
  /** How long the orchestrator could have run and was given no processor. */
  readonly waited: Millis;
}

/** By the clock of the measurements and by that of the machine, with what both of them were kept waiting until then. */
export interface Moment extends Omit<Figure, 'part' | 'took'> {
  readonly at: Millis;
  readonly now: EpochMillis;
}

/** What became of the jobs that were in hand. */
export interface Fate {
  /** Done, failed or cancelled. */
  readonly settled: ReadonlySet<string>;
  /** In the queue for any worker to take, or taken again; null while its server is away. */
  readonly dispatchable: ReadonlySet<string> | null;
}

/** One strike, from its moment until what it took down works again; measures its parts. */
export class Recovery {
  readonly kind: StrikeKind;
  readonly #held: ReadonlyMap<string, string>;
  readonly #figures: Figure[] = [];
  #since: Moment;
  /** Of a server: what was settled when it was back. A batch that was under way then ends without it. */
  #settledBefore: number | null = null;
  /** By device. */
  readonly #loaded = new Map<string, Moment>();
  /** What is still to be seen. */
  readonly #open: Set<Part>;

  /** @param sample the last look before the strike: its jobs in hand are those to come back */
  constructor(kind: StrikeKind, since: Moment, sample: Sample) {
    this.kind = kind;
    this.#since = since;
    this.#held = sample.running;
    this.#open = new Set(PARTS[kind]);
  }

  get isOver(): boolean {
    return this.#open.size === 0;
  }

  get figures(): readonly Figure[] {
    return this.#figures;
  }

  /** The jobs whose fate is to be found out, and since when; null where it does not matter now. */
  get asksFor(): { readonly jobs: readonly string[]; readonly since: EpochMillis } | null {
    const asks = !this.#open.has('hang_to_found') && ASKING.some((part) => this.#open.has(part));
    return asks ? { jobs: [...this.#held.keys()], since: this.#since.now } : null;
  }

  /** Of an orchestrator, whose time counts from here on. */
  startedAgain(moment: Moment): void {
    this.#since = moment;
  }

  look(moment: Moment, sample: Sample, fate: Fate | null): void {
    if (fate !== null && this.#isBack(sample, fate)) for (const part of DISPATCHABLE) this.#see(part, moment);
    if (this.#settledBefore !== null && sample.settled > this.#settledBefore) this.#see('redis_to_progress', moment);
    if (fate !== null && fate.dispatchable !== null) this.#settledBefore ??= sample.settled;
  }

  /** Of a hang: somebody has begun to take the worker down. */
  found(moment: Moment): void {
    this.#see('hang_to_found', moment);
  }

  hear(moment: Moment, device: string, word: Word): void {
    const loaded = this.#loaded.get(device);
    // The last one counts: a worker may load and die again before it begins.
    if (word === 'loaded') this.#loaded.set(device, moment);
    else if (loaded !== undefined) this.#see('worker_loaded_to_running', moment, loaded);
  }

  /**
   * Whether the jobs in hand are out of their batch, for the store and for the queue alike. Of a worker it is enough that
   * one batch is, which is not finished: the others are those of other devices, that nothing has befallen.
   */
  #isBack(sample: Sample, { settled, dispatchable }: Fate): boolean {
    const isOut = ([job, batch]: readonly [string, string]) =>
      settled.has(job) || (sample.running.get(job) !== batch && dispatchable?.has(job));
    const batches = [...Map.groupBy(this.#held, ([, batch]) => batch).values()];
    const out = batches.filter((jobs) => jobs.every(isOut));
    if (out.length === batches.length) return true;
    return this.kind !== 'orchestrator' && out.some((jobs) => jobs.some(([job]) => !settled.has(job)));
  }

  #see(part: Part, moment: Moment, since = this.#since): void {
    if (!this.#open.delete(part)) return;
    // Of another orchestrator than that of the beginning it is told anew.
    const waited = Math.max(0, moment.waited - since.waited);
    this.#figures.push({ part, took: moment.at - since.at, lag: moment.lag - since.lag, waited });
  }
}

const PARTS: Readonly<Record<StrikeKind, readonly Part[]>> = {
  worker: ['worker_to_dispatchable', 'worker_loaded_to_running'],
  orchestrator: ['orchestrator_to_dispatchable'],
  redis: ['redis_to_progress'],
  hang: ['hang_to_found', 'hang_to_dispatchable'],
};

const DISPATCHABLE: readonly Part[] = [
  'worker_to_dispatchable',
  'orchestrator_to_dispatchable',
  'hang_to_dispatchable',
];

const ASKING: readonly Part[] = [...DISPATCHABLE, 'redis_to_progress'];
