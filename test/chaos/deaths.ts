import type { Millis } from '../../src/units.ts';
import { isAlive, workersOf } from './processes.ts';

/** As long as import and load of an engine take at most, of which nothing is heard. */
const LOADING_MS: Millis = 10_000;

/** So long an orchestrator takes at most to see the end of a worker and to write it down, also on a busy machine. */
const UNSEEN_MS: Millis = 1_000;

/** One that is there now. */
export interface Worker {
  readonly device: string;
  readonly pid: number;
}

interface Known extends Worker {
  readonly since: Millis;
  begun: boolean;
  /** Its supervisor said that it stops it. */
  stopping: boolean;
}

/** Looks at the process table. */
export interface Processes {
  workersOf(pid: number): ReadonlyMap<string, number>;
  isAlive(pid: number): boolean;
}

/** Knows the workers that are there, and counts how they and their orchestrators end. */
export class Deaths {
  /**
   * Ends that nobody had asked for: of what was killed from here, and of workers whose supervisor had not said that it stops
   * them. An orchestrator takes what its workers make along, so it counts as often as it had workers, and once at least.
   */
  unasked = 0;
  /**
   * Those of the unasked that nothing was done to from here: workers that crashed or hung by themselves. Not the last ones
   * of an orchestrator that was killed: they may have gone with it, and what crashed one that nobody saw to crashes another.
   */
  ofThemselves = 0;
  /**
   * All other ends: of workers that were replaced for want of memory or for age, or freed for a pause, and of orchestrators
   * that were asked to leave. They explain nothing that is made again.
   */
  asked = 0;
  readonly #processes: Processes;
  readonly #struck = new Set<number>();
  readonly #workers = new Map<string, Known>();
  /** Gone at the last look. What was said of them before may be read a moment after. */
  #gone: readonly Known[] = [];
  /** When workers of this orchestrator were found to have gone by themselves. */
  #went: Millis[] = [];
  #lookedAt: Millis = 0;
  #orchestrator: number | null = null;

  constructor(processes: Processes = { workersOf, isAlive }) {
    this.#processes = processes;
  }

  get workers(): readonly Worker[] {
    return [...this.#workers.values()];
  }

  /** Whether a worker makes pictures: it has started and loaded, and loads nothing else. */
  hasBegun({ device, pid }: Worker, at: Millis): boolean {
    const known = this.#workers.get(device);
    return known?.pid === pid && (known.begun || at > known.since + LOADING_MS);
  }

  hear(device: string, word: 'loading' | 'begun' | 'stopping'): void {
    for (const known of [...this.#gone, ...this.#workers.values()]) {
      if (known.device !== device) continue;
      if (word === 'stopping') known.stopping = true;
      else known.begun = word === 'begun';
    }
  }

  /** It is being ended from here, now or when somebody finds that it stands still. */
  struck(pid: number): void {
    this.#struck.add(pid);
  }

  orchestratorStarted(pid: number): void {
    this.#orchestrator = pid;
  }

  orchestratorEnded({ asked }: { readonly asked: boolean }): void {
    this.#settle();
    if (asked) this.asked += 1;
    else {
      this.unasked += Math.max(1, this.#workers.size);
      this.ofThemselves -= this.#went.filter((at) => at > this.#lookedAt - UNSEEN_MS).length;
    }
    this.#went = [];
    this.#orchestrator = null;
    this.#workers.clear();
  }

  look(at: Millis): void {
    this.#settle();
    this.#lookedAt = at;
    const { workersOf, isAlive } = this.#processes;
    if (this.#orchestrator === null || !isAlive(this.#orchestrator)) return;
    const there = workersOf(this.#orchestrator);
    this.#gone = [...this.#workers.values()].filter(({ device, pid }) => there.get(device) !== pid || !isAlive(pid));
    for (const { device } of this.#gone) this.#workers.delete(device);
    for (const [device, pid] of there) {
      if (this.#workers.has(device) || !isAlive(pid)) continue;
      this.#workers.set(device, { device, pid, since: at, begun: false, stopping: false });
    }
  }

  #settle(): void {
    for (const { pid, stopping } of this.#gone) {
      const wasStruck = this.#struck.has(pid);
      if (stopping && !wasStruck) this.asked += 1;
      else this.unasked += 1;
      if (stopping || wasStruck) continue;
      this.ofThemselves += 1;
      this.#went.push(this.#lookedAt);
    }
    this.#gone = [];
  }
}
