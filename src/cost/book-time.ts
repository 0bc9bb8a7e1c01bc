import type { EpochMillis, Millis } from '../units.ts';

/** A moment of the books. */
export interface BookMoment {
  readonly at: EpochMillis;
  /** Up to here so much more time went by than the times of the books say. */
  readonly lag: Millis;
}

/**
 * The time of the books of a card: what the clock on the wall says, but never earlier than before. Where that clock is set
 * back, the books go on by the monotonic one, and are ahead of the wall. While no batch is under way they wait for it: a
 * reading then is a millisecond after the one before, however long that took, and `lag` grows by the rest.
 */
export class BookTime {
  /** The last reading of each kind. */
  readonly #last = new Map<string, { readonly at: EpochMillis; readonly mono: Millis }>();
  /** Where the books ended before. */
  readonly #floor: EpochMillis;
  /** The books are so far ahead of the wall. */
  #ahead: Millis = 0;
  #lag: Millis = 0;
  #mono: Millis | null = null;
  #newest: EpochMillis = Number.NEGATIVE_INFINITY;
  /** When the wall's clock was set back last since the batch began, and how far the books were ahead until then. */
  #step: { readonly at: EpochMillis; readonly ahead: Millis } | null = null;

  /** @param last where the books end so far */
  constructor(last: EpochMillis | null) {
    this.#floor = last ?? Number.NEGATIVE_INFINITY;
  }

  /**
   * @param kind readings of one kind come in order
   * @param wall when it was read
   * @param mono when it came
   * @param rests no batch is under way
   */
  take(kind: string, wall: EpochMillis, mono: Millis, rests: boolean): BookMoment {
    if (rests && this.#ahead > 0) this.#wait(mono);
    const last = this.#last.get(kind) ?? { at: this.#last.size === 0 ? this.#floor : wall + this.#ahead, mono };
    if (wall + this.#ahead < last.at) this.#stepTo(last, wall, mono, rests);
    const at = wall + this.#ahead;
    this.#last.set(kind, { at, mono });
    this.#mono = mono;
    this.#newest = Math.max(this.#newest, at);
    return { at, lag: this.#lag };
  }

  /** A batch begins. */
  begin(): void {
    this.#step = null;
  }

  /** What a stamp of the batch is in the books. */
  of(wall: EpochMillis): EpochMillis {
    const at = wall + this.#ahead;
    // The wall says some times twice; what has not come yet was the first of them.
    if (this.#step === null || (at >= this.#step.at && at <= this.#newest + UNREAD)) return at;
    return Math.min(this.#step.at, wall + this.#step.ahead);
  }

  #stepTo(last: { readonly at: EpochMillis; readonly mono: Millis }, wall: EpochMillis, mono: Millis, rests: boolean) {
    const passed = Math.max(1, Math.round(mono - last.mono));
    this.#step = { at: last.at, ahead: this.#ahead };
    // While it waits, what has passed is in the lag already.
    if (rests && this.#ahead === 0) this.#lag += passed - 1;
    this.#ahead = last.at + (rests ? 1 : passed) - wall;
  }

  #wait(mono: Millis): void {
    const passed = Math.round(mono - (this.#mono ?? mono));
    const waited = Math.max(0, Math.min(this.#ahead, passed - 1));
    this.#ahead -= waited;
    this.#lag += waited;
  }
}

/** A stamp may be so much later than the last reading. */
const UNREAD: Millis = 2_000;
