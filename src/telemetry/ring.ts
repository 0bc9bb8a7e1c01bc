import type { Reading } from '../ports.ts';
import type { Millis } from '../units.ts';

/** The readings of the last while, for live views, each card's apart under its UUID; those of the whole host are under `host`. */
export class ReadingRing {
  readonly #span: Millis;
  readonly #most: number;
  readonly #kept = new Map<string, Reading[]>();

  /** @param most readings of one card at most, however fast they come */
  constructor(span: Millis, most = 2_000) {
    this.#span = span;
    this.#most = most;
  }

  get keys(): readonly string[] {
    return [...this.#kept.keys()];
  }

  push(reading: Reading): void {
    const key = 'gpu' in reading ? reading.gpu : 'host';
    const kept = this.#kept.get(key) ?? [];
    kept.push(reading);
    const oldest = reading.at - this.#span;
    // The times of different meters may cross a little; what is too old is at the front or soon will be.
    const first = kept.findIndex(({ at }) => at >= oldest);
    kept.splice(0, Math.max(first, kept.length - this.#most));
    this.#kept.set(key, kept);
  }

  /** Oldest first. A card that has fallen silent keeps what it said last: look at its times. */
  of(key: string): readonly Reading[] {
    return this.#kept.get(key) ?? [];
  }
}
