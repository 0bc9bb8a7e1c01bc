import type { EpochMillis } from '../units.ts';
import type { Slice, Tariff } from './tariff.ts';

/**
 * Whether a kilowatt-hour costs now what it costs in the cheapest part of the local day. A day with one price is cheap
 * from its first minute to its last, whatever other days cost: nothing is gained by waiting within it.
 */
export function cheapNow(tariff: Tariff, at: EpochMillis): boolean {
  return cheapParts(tariff, at).some(({ from, to }) => from <= at && at < to);
}

/**
 * When the next cheapest part of a day begins: today's or tomorrow's where now is not cheap. Where now is cheap, the
 * begin after the next end of it. Null where the price stays the cheapest of its day for {@link DAYS_AHEAD} days,
 * as with a flat tariff.
 */
export function nextCheap(tariff: Tariff, at: EpochMillis): EpochMillis | null {
  let cheapUntil: EpochMillis = Number.NEGATIVE_INFINITY;
  let day = tariff.day(at);
  for (let ahead = 0; ahead < DAYS_AHEAD; ahead += 1) {
    for (const { from, to } of cheapParts(tariff, day.from)) {
      if (from > at && from > cheapUntil) return from;
      cheapUntil = Math.max(cheapUntil, to);
    }
    day = tariff.day(day.to);
  }
  return null;
}

/** A weekend that is cheap as a whole, with holidays around it. */
export const DAYS_AHEAD = 9;

/** The cheapest parts of the local day around an instant. */
export function cheapParts(tariff: Tariff, at: EpochMillis): readonly Slice[] {
  const slices = tariff.slices(tariff.day(at));
  const least = slices.reduce((best, slice) => (slice.nano < best.nano ? slice : best));
  return slices.filter(({ nano }) => nano === least.nano);
}
