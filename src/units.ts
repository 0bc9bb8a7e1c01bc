/**
 * Quantities with their unit in the type. Unknown is never zero: a figure that could not be
 * obtained is `null` and its method is `unknown`.
 */
declare const unit: unique symbol;
type Unit<Name extends string> = number & { readonly [unit]?: Name };

/** Milliseconds, a span of time. */
export type Millis = Unit<'ms'>;
/** Milliseconds since 1970-01-01T00:00:00Z. */
export type EpochMillis = Unit<'epoch ms'>;
/** Seconds, a span of time. */
export type Seconds = Unit<'s'>;
/** Millijoules, whole. Energy is an integer inside, so that shares add up exactly. */
export type Millijoules = Unit<'mJ'>;
export type Watts = Unit<'W'>;
export type Bytes = Unit<'B'>;

/** Kilowatt-hours. */
export function kwhOf(millijoules: Millijoules): number {
  return millijoules / 3.6e9;
}

/** How a figure was obtained, best first. A sum takes the weakest method of its parts. */
export const METHODS = ['measured', 'derived', 'assumed', 'unknown'] as const;
export type Method = (typeof METHODS)[number];

/** An amount of money in billionths of the currency unit (1 nano-EUR = 1e-9 EUR). */
export interface Money {
  readonly nano: bigint;
  /** ISO 4217 code, for example `EUR`. */
  readonly currency: string;
}

/** Money as it leaves through a door: decimal amount, never more than nine decimals. */
export interface MoneyFigure {
  readonly amount: number | null;
  readonly currency: string;
  readonly method: Method;
}

const NANO = 1_000_000_000n;

/** The decimal number of a nano amount; exact up to 9 007 199 units of a currency. */
export function decimalOf(nano: bigint): number {
  const sign = nano < 0n ? '-' : '';
  const whole = (nano < 0n ? -nano : nano) / NANO;
  const rest = (nano < 0n ? -nano : nano) % NANO;
  return Number(`${sign}${whole}.${rest.toString().padStart(9, '0')}`);
}

/** The nano amount nearest to a decimal number. */
export function nanoOf(amount: number): bigint {
  const [whole = '0', rest = ''] = amount.toFixed(9).split('.');
  const digits = BigInt(`${whole.replace('-', '')}${rest.padEnd(9, '0')}`);
  return amount < 0 ? -digits : digits;
}

export function weakest(methods: readonly Method[]): Method {
  return methods.reduce<Method>(
    (worst, next) => (METHODS.indexOf(next) > METHODS.indexOf(worst) ? next : worst),
    'measured',
  );
}
