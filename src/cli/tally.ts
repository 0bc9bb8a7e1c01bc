import { type CostSummary, costSummaryOf } from '../cost/summary.ts';
import { addedUp, groupOf, totalsOf } from '../cost/totals.ts';
import type { Clock, Receipt } from '../ports.ts';
import type { Millis, Watts } from '../units.ts';
import { RestTime } from './rest-time.ts';

/** From so many pictures on, the batches after the first one tell the rate. */
const ENOUGH = 8;

/** The sums behind the live line: what this command has seen made so far. */
export class Tally {
  readonly #clock: Clock;
  readonly #began: Millis;
  /** Its time is in no rate. */
  readonly rest: RestTime;
  #sums = NOTHING.active;
  #watts: Watts | null = null;
  /** The batch that the load came before, the pictures of it, and when the last of them was seen. */
  #first: { readonly batch: string | undefined; readonly images: number; readonly at: Millis } | null = null;
  images = 0;
  failed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#began = clock.monotonic();
    this.rest = new RestTime(clock);
  }

  add(receipt: Receipt | null): void {
    this.images += 1;
    this.rest.worked();
    const batch = receipt?.batch.id;
    if (this.#first === null || this.#first.batch === batch) {
      this.#first = { batch, images: (this.#first?.images ?? 0) + 1, at: this.#working };
    }
    if (receipt === null) return;
    this.#sums = addedUp([this.#sums, totalsOf([groupOf('active', receipt)], 1).active]);
    const { energy, seconds } = receipt;
    if (energy.joules !== null && seconds.share > 0) this.#watts = energy.joules / seconds.share;
  }

  /** Of the pictures seen; what loading took is known at the end only. */
  get bill(): CostSummary {
    return costSummaryOf({ ...NOTHING, images: this.images, active: this.#sums }, '');
  }

  get watts(): Watts | null {
    return this.#watts;
  }

  /**
   * Images an hour. The time up to the end of the first batch, the load among it, is left out together with that
   * batch's pictures as soon as the later ones can tell a rate.
   */
  get imagesPerHour(): number {
    const later = this.#first !== null && this.images > ENOUGH ? this.images - this.#first.images : 0;
    const [images, since] = later > 0 && this.#first !== null ? [later, this.#first.at] : [this.images, this.#began];
    const seconds = (this.#working - since) / 1000;
    return seconds > 0 ? (images / seconds) * 3600 : 0;
  }

  /** The clock, which stands still while the run rests. */
  get #working(): Millis {
    return this.#clock.monotonic() - this.rest.millis;
  }

  /** Seconds until `left` more images are made at this rate; null while there is none. */
  secondsFor(left: number): number | null {
    const rate = this.imagesPerHour;
    return rate === 0 ? null : (left / rate) * 3600;
  }
}

const NOTHING = totalsOf([], 0);
