import type { Millis } from '../../src/units.ts';
import type { Deaths } from './deaths.ts';
import { isAlive } from './processes.ts';
import type { Sample } from './watch.ts';

/** For an engine that no prompt can crash: whenever a poisoned job is being made, its one worker is killed. */
export class PoisonByHand {
  readonly #jobs: ReadonlySet<string>;
  readonly #deaths: Deaths;

  constructor(jobs: ReadonlySet<string>, deaths: Deaths) {
    this.#jobs = jobs;
    this.#deaths = deaths;
  }

  look(at: Millis, { running }: Sample): void {
    const [worker] = this.#deaths.workers;
    // Not over its load: the model would be blamed for that death.
    if (worker === undefined || !this.#deaths.hasBegun(worker, at) || !isAlive(worker.pid)) return;
    if (![...running.keys()].some((job) => this.#jobs.has(job))) return;
    this.#deaths.struck(worker.pid);
    process.kill(worker.pid, 'SIGKILL');
  }
}
