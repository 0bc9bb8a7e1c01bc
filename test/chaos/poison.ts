import type { Millis } from '../../src/units.ts';
import type { Deaths } from './deaths.ts';
import { isAlive } from './processes.ts';
import type { Sample } from './watch.ts';

/** For an engine that no prompt can crash: whenever a poisoned job is being made, its worker is killed. */
export class PoisonByHand {
  readonly #jobs: ReadonlySet<string>;
  readonly #deaths: Deaths;

  constructor(jobs: ReadonlySet<string>, deaths: Deaths) {
    this.#jobs = jobs;
    this.#deaths = deaths;
  }

  look(at: Millis, { running }: Sample): void {
    const { worker } = this.#deaths;
    // Not over its load: the model would be blamed for that death.
    if (worker === null || !this.#deaths.hasBegun(at) || !isAlive(worker)) return;
    if ([...running.keys()].some((job) => this.#jobs.has(job))) process.kill(worker, 'SIGKILL');
  }
}
