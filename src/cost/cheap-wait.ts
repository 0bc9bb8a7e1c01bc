import type { EpochMillis } from '../units.ts';
import { cheapNow, nextCheap } from './cheap.ts';
import { MINUTE_MS } from './local-time.ts';
import type { Tariff } from './tariff.ts';

/**
 * When work may be done that waits for cheap electricity: asked many times a second, and worked out once a minute, in
 * which no price changes. It holds no time that a clock which is set could make wrong.
 */
export class CheapWait {
  readonly #tariff: Tariff;
  #minute = Number.NaN;
  #until: EpochMillis | null = null;

  constructor(tariff: Tariff) {
    this.#tariff = tariff;
  }

  /** When it is cheap next, at a lower price than now; null where no price of the next 24 hours is lower. Never `at` itself. */
  until(at: EpochMillis): EpochMillis | null {
    const minute = Math.floor(at / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#until = cheapNow(this.#tariff, at) ? null : nextCheap(this.#tariff, at);
    }
    return this.#until;
  }
}
