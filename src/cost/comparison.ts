import { nanoOf } from '../units.ts';
import table from './api-prices.json' with { type: 'json' };
import type { Figures } from './report-figures.ts';
import { addedMoney, type Money } from './report-money.ts';
import { dividedBy } from './tariff.ts';

/** What the same number of pictures would have cost elsewhere. That they would be as good is not said. */
export interface Compared {
  readonly provider: string;
  readonly model: string;
  readonly unit: 'image' | 'megapixel';
  /** Of one unit. */
  readonly price: number;
  /** The list says "from": the price is the least that it can be. */
  readonly from: boolean;
  readonly currency: string;
  /** Who says so, and on which day or in which month. */
  readonly source: string;
  readonly date: string;
  /** One thin source, or a copy. */
  readonly weak: boolean;
  /** Of all pictures, in its own currency, and at home where there is a rate. */
  readonly nano: bigint;
  readonly home: bigint | null;
  /** Its cost by ours; null where either is unknown, or ours is nothing, or nothing says which way it errs. */
  readonly times: number | null;
  readonly timesIs: 'even' | 'at_least' | 'at_most';
}

/** What pictures cost here, with nothing in it that is of no picture, as a subscription elsewhere. */
export interface Ours {
  /** Electricity of pictures, overhead and idle, fixed charges, hardware. */
  readonly money: Money;
  /** A part is unknown, or in a currency without a rate. */
  readonly atLeast: boolean;
}

export function oursOf({
  marginal,
  electricity,
  fixed,
  amortisation,
}: Pick<Figures, 'marginal' | 'electricity' | 'fixed' | 'amortisation'>): Ours {
  const money = addedMoney([marginal, electricity.idle, fixed, amortisation]);
  return { money, atLeast: money.apart + money.unknowns > 0 };
}

/**
 * By list prices, cheapest first. A price for a megapixel is taken for pictures of one megapixel.
 * @param rateOf home units for one of a currency; null where nobody says
 */
export function comparisonOf(
  pictures: number,
  ours: Ours | null,
  rateOf: (currency: string) => number | null,
): readonly Compared[] {
  const compared = table.map((row): Compared => {
    const nano = nanoOf(row.price) * BigInt(pictures);
    const rate = rateOf(row.currency);
    const home = rate === null ? null : dividedBy(nano * nanoOf(rate), 1_000_000_000n);
    const unit = row.unit === 'megapixel' ? 'megapixel' : 'image';
    const timesIs = row.from ? 'at_least' : ours?.atLeast === true ? 'at_most' : 'even';
    const times = row.from && ours?.atLeast === true ? null : timesOf(home, ours);
    return { ...row, unit, nano, home, times, timesIs };
  });
  return compared.sort((a, b) => a.price - b.price || (a.model < b.model ? -1 : 1));
}

function timesOf(home: bigint | null, ours: Ours | null): number | null {
  const own = ours?.money.nano ?? null;
  return home === null || own === null || own <= 0n ? null : Number(home) / Number(own);
}

const SOME = 5;

/** Where there is little room: the cheapest, the dearest, and what lies evenly between them by its place, cheapest first. */
export function someOf(compared: readonly Compared[]): readonly Compared[] {
  if (compared.length <= SOME) return compared;
  const step = (compared.length - 1) / (SOME - 1);
  return compared.filter((_, at) => Array.from({ length: SOME }, (_, n) => Math.round(n * step)).includes(at));
}
