import type { LedgerSum } from '../ports.ts';
import { type Method, nanoOf, weakest } from '../units.ts';
import { dividedBy } from './tariff.ts';

/** What a unit of another currency is worth at home, on a date, and who says so. */
export interface Rate {
  readonly rate: number;
  readonly date: string;
  readonly source: string;
}

/** A group of rows with its money at home. */
export interface Piece extends LedgerSum {
  /** Null where the amount is unknown, or in a currency without a rate. */
  readonly home: bigint | null;
  /** It has an amount, and no rate takes it home. */
  readonly apart: boolean;
  /** Home units for one of `currency`, for what is kept in floats; 1 at home. */
  readonly rate: number;
}

export interface Money {
  /** Sum of the amounts known at home; null where there are none although something was booked. */
  readonly nano: bigint | null;
  readonly method: Method;
  /** Rows of unknown amount; with any, read the sum as "at least". */
  readonly unknowns: number;
  /** Rows in a currency that no rate takes home; with any, read the sum as "without" them. */
  readonly apart: number;
  /** Rows that it is made of, unknown ones and those apart included. */
  readonly entries: number;
}

export interface Amount {
  readonly currency: string;
  readonly nano: bigint;
}

const BILLION = 1_000_000_000n;

/**
 * Takes amounts home. Those of one currency and one part of the bill are rounded as a whole: each gets what it adds to
 * their rounded sum. So the sum of any groups of rows is the sum of all, to the billionth.
 */
export class Exchange {
  readonly home: string;
  readonly #rates: Readonly<Record<string, Rate>>;
  readonly #soFar = new Map<string, bigint>();

  constructor(home: string, rates: Readonly<Record<string, Rate>>) {
    this.home = home;
    this.#rates = rates;
  }

  /** Null where nobody says what the currency is worth. */
  rateOf(currency: string): number | null {
    return currency === this.home ? 1 : (this.#rates[currency]?.rate ?? null);
  }

  /** @param part of the bill, as `idle.resident` */
  homeOf(part: string, nano: bigint, currency: string): bigint | null {
    const rate = this.rateOf(currency);
    if (currency === this.home || nano === 0n) return nano;
    if (rate === null) return null;
    const key = `${part} ${currency}`;
    const before = this.#soFar.get(key) ?? 0n;
    this.#soFar.set(key, before + nano);
    return atRate(before + nano, rate) - atRate(before, rate);
  }

  pieceOf(sum: LedgerSum): Piece {
    const { kind, cause, nano, currency } = sum;
    const home = nano === null ? null : this.homeOf(`${kind}.${cause ?? ''}`, nano, currency);
    const costMethod = currency === this.home || nano === null ? sum.costMethod : weakest([sum.costMethod, 'derived']);
    return { ...sum, costMethod, home, apart: nano !== null && home === null, rate: this.rateOf(currency) ?? 1 };
  }

  said(currency: string): Rate | undefined {
    return this.#rates[currency];
  }
}

function atRate(nano: bigint, rate: number): bigint {
  return dividedBy(nano * nanoOf(rate), BILLION);
}

export const NOTHING: Money = { nano: 0n, method: 'measured', unknowns: 0, apart: 0, entries: 0 };

/** Of rows. */
export function moneyOf(pieces: readonly Piece[]): Money {
  return addedMoney(
    pieces.map(({ home: nano, costMethod: method, apart, entries }) => {
      const unknowns = nano === null && !apart ? entries : 0;
      return { nano, method, unknowns, apart: apart ? entries : 0, entries };
    }),
  );
}

/** What never was weakens nothing; the sum of what is unknown or apart is none. */
export function addedMoney(parts: readonly Money[]): Money {
  const present = parts.filter(({ entries }) => entries > 0);
  const known = present.filter(({ nano }) => nano !== null);
  const total = {
    unknowns: sumOf(present.map((part) => part.unknowns)),
    apart: sumOf(present.map((part) => part.apart)),
    entries: sumOf(present.map((part) => part.entries)),
  };
  if (present.length > 0 && known.length === 0) return { ...total, nano: null, method: 'unknown' };
  const nano = known.reduce((sum, part) => sum + (part.nano ?? 0n), 0n);
  return { ...total, nano, method: weakest(known.map(({ method }) => method)) };
}

/** An equal part of a sum, times `times`; null where there is nothing to divide by, or nothing known. */
export function perPicture(money: Money, pictures: number, times = 1n): bigint | null {
  return money.nano === null || pictures === 0 ? null : dividedBy(money.nano * times, BigInt(pictures));
}

export function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
