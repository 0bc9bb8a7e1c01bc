import type { Reading } from '../ports.ts';
import type { EpochMillis, Millis, Watts } from '../units.ts';

/** What all cards drew together while the wall gave so much. */
export interface LoadPair {
  readonly at: EpochMillis;
  readonly gpu: Watts;
  readonly wall: Watts;
}

/** Pairs each reading of the plug with the mean power of every card since the one before. */
export class LoadPairs {
  readonly #since = new Map<string, { sum: number; count: number }>();

  /** The pair that a reading completes. None while a card is silent, for the plug does not leave it out. */
  add(reading: Reading): LoadPair | null {
    if (reading.kind === 'power') {
      const { sum, count } = this.#since.get(reading.gpu) ?? { sum: 0, count: 0 };
      const { watts } = reading;
      this.#since.set(reading.gpu, watts === null ? { sum, count } : { sum: sum + watts, count: count + 1 });
    }
    if (reading.kind !== 'wall' || reading.watts === null) return null;
    const cards = [...this.#since.values()];
    for (const card of this.#since.keys()) this.#since.set(card, { sum: 0, count: 0 });
    if (cards.length === 0 || cards.some(({ count }) => count === 0)) return null;
    return { at: reading.at, wall: reading.watts, gpu: cards.reduce((all, { sum, count }) => all + sum / count, 0) };
  }
}

/** Those before which neither meter had moved for ten seconds: a plug tells a step later than a card does. */
export function steadyOf(pairs: readonly LoadPair[]): readonly LoadPair[] {
  return pairs.filter((pair, at) => {
    for (let before = at; before > 0; before--) {
      const [one, two] = [pairs[before - 1], pairs[before]];
      if (one === undefined || two === undefined || two.at - one.at > HOLE_MS) return false;
      if (!isNear(one.gpu, pair.gpu) || !isNear(one.wall, pair.wall)) return false;
      if (pair.at - one.at >= STEADY_MS) return true;
    }
    return false;
  });
}

const STEADY_MS: Millis = 10_000;
const HOLE_MS: Millis = 10_000;

function isNear(one: Watts, other: Watts): boolean {
  return Math.abs(one - other) <= Math.max(5, 0.05 * other);
}
