import type { EpochMillis } from '../units.ts';
import { DAY_MS } from './local-time.ts';
import type { Slice, Span, Tariff } from './tariff.ts';

/** Whether no price of the next 24 hours is lower than that of now: then nothing is gained by waiting for a day. */
export function cheapNow(tariff: Tariff, at: EpochMillis): boolean {
  return cheapParts(tariff, { from: at, to: at + 1 }).length > 0;
}

/**
 * The first moment that is cheap as {@link cheapNow} has it and costs less than now, whether now is cheap or not. Null
 * where none comes in {@link DAYS_AHEAD} days. Where now is not cheap there is one: each price that undercuts another
 * within a day is cheap itself, or is undercut within a day, and no tariff has a new price for every day of the nine.
 */
export function nextCheap(tariff: Tariff, at: EpochMillis): EpochMillis | null {
  const now = priceAt(tariff, at);
  return cheapParts(tariff, daysAhead(at)).find(({ nano }) => nano < now)?.from ?? null;
}

/** The parts of a span that are cheap as {@link cheapNow} has it, whatever else the span holds. */
export function cheapParts(tariff: Tariff, span: Span): readonly Slice[] {
  const slices = tariff.slices({ from: span.from, to: span.to + DAY_MS });
  return slices.flatMap((slice, place) => {
    const lower = slices.slice(place + 1).find(({ nano }) => nano < slice.nano);
    const to = Math.min(slice.to, span.to, lower === undefined ? span.to : lower.from - DAY_MS);
    return slice.from < to ? [{ ...slice, to }] : [];
  });
}

/** A weekend that is cheap as a whole, with holidays around it. */
export const DAYS_AHEAD = 9;

/** As far ahead as is looked. */
export function daysAhead(at: EpochMillis): Span {
  return { from: at, to: at + DAYS_AHEAD * DAY_MS };
}

/** Nano-units a kilowatt-hour. */
export function priceAt(tariff: Tariff, at: EpochMillis): bigint {
  return tariff.slices({ from: at, to: at })[0]?.nano ?? 0n;
}
