import type { Tariff } from '../cost/tariff.ts';
import type { CheapWaits, Wish } from '../kiln-waits.ts';
import type { Clock } from '../ports.ts';
import type { EpochMillis, Seconds } from '../units.ts';
import { beginOf, zoneAt } from './cheap.ts';
import type { Herald } from './herald.ts';
import { RestTime } from './rest-time.ts';
import type { Reporter } from './run-events.ts';

export interface CheapRestOptions {
  /** One of the run's, which all have the same wish; left out where none is to be made. */
  readonly job: Wish | undefined;
  readonly waits: CheapWaits;
  readonly tariff: Tariff;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly herald: Pick<Herald, 'paused' | 'resumed'>;
  readonly reporter: Pick<Reporter, 'note' | 'rests'>;
}

/** What whoever follows a run is told of its waiting for cheap electricity. Nobody who is away is told: it was asked for. */
export class CheapRest {
  readonly #options: CheapRestOptions;
  readonly #time: RestTime;
  #until: EpochMillis | null = null;

  constructor(options: CheapRestOptions) {
    this.#options = options;
    this.#time = new RestTime(options.clock);
  }

  /** To be called now and then. */
  look(): void {
    const { job, waits } = this.#options;
    const until = job === undefined ? null : waits.until(job);
    if (until === this.#until) return;
    this.#until = until;
    if (until === null) this.#end();
    else this.#begin(until);
  }

  /** To be called for each picture. */
  worked(): void {
    this.#time.worked();
  }

  /** How long it has waited in all. */
  get seconds(): Seconds {
    return this.#time.millis / 1000;
  }

  #begin(until: EpochMillis): void {
    const { tariff, clock, herald, reporter } = this.#options;
    const now = clock.now();
    this.#time.begin();
    herald.paused('cheap', null);
    reporter.rests(`waits until ${beginOf(tariff, until, now)}`);
    reporter.note(`Waits for ${zoneAt(tariff, until, now)}`);
  }

  #end(): void {
    const { herald, reporter } = this.#options;
    this.#time.end();
    herald.resumed('cheap');
    reporter.rests(null);
    reporter.note('The cheap zone has begun: going on.');
  }
}
