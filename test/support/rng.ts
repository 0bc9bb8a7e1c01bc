/** Numbers from 0 up to, not including, 1. */
export type Rng = () => number;

/** Always the same numbers for a seed (mulberry32). */
export function seeded(seed: number): Rng {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The same values in another order. */
export function shuffled<T>(values: readonly T[], rng: Rng): readonly T[] {
  return values
    .map((value) => ({ value, place: rng() }))
    .sort((a, b) => a.place - b.place)
    .map(({ value }) => value);
}
