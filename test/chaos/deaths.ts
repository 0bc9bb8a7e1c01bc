import type { Millis } from '../../src/units.ts';
import { isAlive, workerOf } from './processes.ts';
import type { Sample } from './watch.ts';

/** As long as import and load of an engine take at most, of which nothing is heard. */
const LOADING_MS: Millis = 10_000;

/** Knows the worker that is there; counts the ends of workers and of the orchestrator, and which jobs each of them hit. */
export class Deaths {
  /** Of all processes, whoever ended them; a worker that goes with its orchestrator is no death of its own. */
  count = 0;
  readonly #hits = new Map<string, number>();
  #orchestrator: number | null = null;
  #worker: number | null = null;
  #workerSince: Millis = 0;
  #hasBegun = false;
  #oneHasBegun = false;
  /** What was being made at the last look. */
  #before: Sample['running'] = new Map();

  get worker(): number | null {
    return this.#worker;
  }

  /** Whether the worker makes pictures: it has started and loaded. */
  hasBegun(at: Millis): boolean {
    return this.#hasBegun || (this.#worker !== null && at > this.#workerSince + LOADING_MS);
  }

  /** Whether any worker of the orchestrator that is there now has. */
  oneHasBegun(at: Millis): boolean {
    return this.#oneHasBegun || this.hasBegun(at);
  }

  /** How often a job was being made when its worker died before the eyes of a living orchestrator. */
  hits(job: string): number {
    return this.#hits.get(job) ?? 0;
  }

  heardBegin(): void {
    this.#hasBegun = this.#worker !== null;
    this.#oneHasBegun = true;
  }

  orchestratorStarted(pid: number): void {
    this.#orchestrator = pid;
    this.#worker = null;
    this.#hasBegun = this.#oneHasBegun = false;
  }

  orchestratorEnded(): void {
    this.count += 1;
    this.#orchestrator = null;
    this.#worker = null;
  }

  look(at: Millis, { running }: Sample): void {
    if (this.#orchestrator === null) return;
    if (this.#worker !== null && !isAlive(this.#worker) && isAlive(this.#orchestrator)) {
      this.count += 1;
      for (const job of this.#before.keys()) this.#hits.set(job, this.hits(job) + 1);
      this.#worker = null;
    }
    if (this.#worker === null) this.#meet(at, workerOf(this.#orchestrator));
    this.#before = running;
  }

  #meet(at: Millis, worker: number | undefined): void {
    if (worker === undefined) return;
    this.#worker = worker;
    this.#workerSince = at;
    this.#hasBegun = false;
  }
}
