/**
 * Carries a counter on over its resets, in whatever unit it counts: after it fell it goes on from where it was. What was
 * counted between its last reading and its reset is not known, and not in it.
 */
export class Rising {
  #base = 0;
  #last: number | null = null;

  next(reading: number): number {
    const last = this.#last ?? reading;
    // A counter that is rounded may waver; only one that lost more than half has begun again.
    if (reading >= last / 2) {
      this.#last = Math.max(last, reading);
    } else {
      this.#base += last;
      this.#last = reading;
    }
    return this.#base + this.#last;
  }
}
