import type { PriceSnapshot } from '../ports.ts';
import type { EpochMillis, Method, Millijoules, Money } from '../units.ts';
import type { WallClock } from './local-time.ts';

export interface Span {
  readonly from: EpochMillis;
  /** Not included. */
  readonly to: EpochMillis;
}

/** A part of time in which a kilowatt-hour has one price. */
export interface Slice extends Span {
  /** Nano-units of the currency a kilowatt-hour, with charges and tax. */
  readonly nano: bigint;
}

/** What a kilowatt-hour costs at any time, and how sure that is. */
export interface Tariff {
  /** Names these prices in every receipt, so that past receipts stay explained: `flat:0.3:EUR:config`. */
  readonly id: string;
  readonly currency: string;
  /** `measured` for prices that the user states, `assumed` where our default holds at any time. */
  readonly method: Method;
  /** That of what is burnt in a span: `assumed` only where our default sets a price in it. */
  methodIn(span: Span): Method;
  /** That the prices go by. */
  readonly clock: WallClock;
  /** A span cut where its price changes, in order; a span of no length is one slice. */
  slices(span: Span): readonly Slice[];
  /** The day around an instant, from midnight to midnight on the clock that the prices go by. */
  day(at: EpochMillis): Span;
  /** What the prices are made of, as JSON with sorted names: the same text for the same prices. */
  readonly body: string;
}

/** As the ledger keeps it, for the entries that were priced with it. */
export function snapshotOf(tariff: Tariff, at: EpochMillis): PriceSnapshot {
  return { id: tariff.id, at, source: tariff.method === 'assumed' ? 'default' : 'config', body: tariff.body };
}

const MILLIJOULES_A_KWH = 3_600_000_000n;

/**
 * The price of energy that was burnt evenly over a span, rounded once to the nearest nano-unit; halves away from zero.
 */
export function priceOf(millijoules: Millijoules, tariff: Tariff, span: Span): Money {
  const slices = tariff.slices(span);
  const [only] = slices;
  const energy = BigInt(millijoules);
  if (only !== undefined && slices.length === 1)
    return { nano: dividedBy(energy * only.nano, MILLIJOULES_A_KWH), currency: tariff.currency };
  const weighted = slices.reduce((sum, { from, to, nano }) => sum + BigInt(to - from) * nano, 0n);
  const nano = dividedBy(energy * weighted, MILLIJOULES_A_KWH * BigInt(span.to - span.from));
  return { nano, currency: tariff.currency };
}

/** Rounds to the nearest whole number; halves away from zero, so that a credit is rounded as a charge is. */
export function dividedBy(amount: bigint, divisor: bigint): bigint {
  const half = divisor / 2n;
  return (amount < 0n ? amount - half : amount + half) / divisor;
}
