import { CheapWait, hasOnePrice } from './cost/cheap-wait.ts';
import type { Tariff } from './cost/tariff.ts';
import type { Clock, Priority, When } from './ports.ts';
import type { EpochMillis } from './units.ts';

export interface CheapWaitsOptions {
  readonly tariff: Tariff;
  readonly clock: Pick<Clock, 'now'>;
  /** For a job whose run does not say when. */
  readonly when: When;
  /** Told once where somebody wants to wait, and no time is cheaper than another. */
  onOnePrice?(): void;
}

/** What of a job says when it is to be made. */
export interface Wish {
  readonly priority: Priority;
  readonly when?: When | undefined;
}

/** Which jobs are not made now because electricity is to cost less later, by the tariff of whoever makes them. */
export class CheapWaits {
  readonly #options: CheapWaitsOptions;
  readonly #wait: CheapWait;
  #wished = false;

  constructor(options: CheapWaitsOptions) {
    this.#options = options;
    this.#wait = new CheapWait(options.tariff);
  }

  /** When a job may be made; null: now. */
  until({ priority, when = this.#options.when }: Wish): EpochMillis | null {
    if (priority !== 'bulk' || when !== 'cheap') return null;
    const { tariff, clock, onOnePrice } = this.#options;
    if (!this.#wished && hasOnePrice(tariff, clock.now())) onOnePrice?.();
    this.#wished = true;
    return this.#wait.until(clock.now());
  }
}
