import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';

/** How long a run has rested, so that its rate is that of its work. A batch that ends after the rest began is work. */
export class RestTime {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #sum: Millis = 0;
  #since: Millis | null = null;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  begin(): void {
    this.#since ??= this.#clock.monotonic();
  }

  end(): void {
    this.#sum = this.millis;
    this.#since = null;
  }

  /** To be called for each picture: up to now there was no rest. */
  worked(): void {
    if (this.#since !== null) this.#since = this.#clock.monotonic();
  }

  get millis(): Millis {
    return this.#sum + (this.#since === null ? 0 : this.#clock.monotonic() - this.#since);
  }
}
