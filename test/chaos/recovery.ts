import type { Millis } from '../../src/units.ts';
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

export type Figure = readonly [Part, Millis];

/** One strike, from its moment until what it took down works again; measures its parts. */
export class Recovery {
  readonly kind: StrikeKind;
  readonly #held: ReadonlyMap<string, string>;
  readonly #settled: number;
  readonly #figures: Figure[] = [];
  #since: Millis;
  #loaded: Millis | null = null;
  /** What is still to be seen. */
  readonly #open: Set<Part>;

  /** @param sample the last look before the strike: its jobs in hand are those to come back */
  constructor(kind: StrikeKind, at: Millis, sample: Sample) {
    this.kind = kind;
    this.#since = at;
    this.#held = sample.running;
    this.#settled = sample.settled;
    this.#open = new Set(PARTS[kind]);
  }

  get isOver(): boolean {
    return this.#open.size === 0;
  }

  get figures(): readonly Figure[] {
    return this.#figures;
  }

  /** Of an orchestrator, whose time counts from here on. */
  startedAgain(at: Millis): void {
    this.#since = at;
  }

  look(at: Millis, sample: Sample): void {
    const waits = ([job, batch]: readonly [string, string]) => sample.running.get(job) === batch;
    if (!this.#open.has('hang_to_found') && ![...this.#held].some(waits))
      for (const part of DISPATCHABLE) this.#see(part, at - this.#since);
    if (sample.settled > this.#settled) this.#see('redis_to_progress', at - this.#since);
  }

  /** Of a hang: somebody has begun to take the worker down. */
  found(at: Millis): void {
    this.#see('hang_to_found', at - this.#since);
  }

  hear(at: Millis, word: Word): void {
    if (word === 'loaded') this.#loaded ??= at;
    else if (this.#loaded !== null) this.#see('worker_loaded_to_running', at - this.#loaded);
  }

  #see(part: Part, took: Millis): void {
    if (this.#open.delete(part)) this.#figures.push([part, took]);
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
