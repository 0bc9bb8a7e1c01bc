import { decimalOf, type Method, type Millijoules, type Money, nanoOf } from '../units.ts';

/** What a kilowatt-hour costs, and how sure that is. */
export interface Tariff {
  /** Names this price in every receipt, so that past receipts stay explained: `flat:0.3:EUR:config`. */
  readonly id: string;
  /** Per kilowatt-hour. */
  readonly price: Money;
  /** `measured` for a price that the user states, `assumed` for our default. */
  readonly method: Method;
}

/** One price at all hours. */
export function flatTariff(price: {
  readonly pricePerKwh: number;
  readonly currency: string;
  readonly assumed: boolean;
}): Tariff {
  const nano = nanoOf(price.pricePerKwh);
  return {
    id: `flat:${decimalOf(nano)}:${price.currency}:${price.assumed ? 'default' : 'config'}`,
    price: { nano, currency: price.currency },
    method: price.assumed ? 'assumed' : 'measured',
  };
}

const MILLIJOULES_A_KWH = 3_600_000_000n;

/** The price of this energy, rounded to the nearest nano-unit; halves away from zero. */
export function priceOf(millijoules: Millijoules, tariff: Tariff): Money {
  const { nano, currency } = tariff.price;
  return { nano: dividedBy(BigInt(millijoules) * nano, MILLIJOULES_A_KWH), currency };
}

/** Rounds to the nearest whole number; halves away from zero, so that a credit is rounded as a charge is. */
export function dividedBy(amount: bigint, divisor: bigint): bigint {
  const half = divisor / 2n;
  return (amount < 0n ? amount - half : amount + half) / divisor;
}
