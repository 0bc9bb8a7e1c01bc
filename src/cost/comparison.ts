import { nanoOf } from '../units.ts';
import table from './api-prices.json' with { type: 'json' };
import type { Money } from './report-money.ts';
import { dividedBy } from './tariff.ts';

/** What the same number of pictures would have cost elsewhere. That they would be as good is not said. */
export interface Compared {
  readonly provider: string;
  readonly model: string;
  readonly unit: 'image' | 'megapixel';
  /** Of one unit. */
  readonly price: number;
  readonly currency: string;
  /** Who says so, and when. */
  readonly source: string;
  readonly date: string;
  /** One thin source, or a copy. */
  readonly weak: boolean;
  /** Of all pictures, in its own currency, and at home where there is a rate. */
  readonly nano: bigint;
  readonly home: bigint | null;
  /** Its cost by our full cost; null where either is unknown, or ours is nothing. */
  readonly times: number | null;
}

/**
 * By list prices, cheapest first. A price for a megapixel is taken for pictures of one megapixel.
 * @param rateOf home units for one of a currency; null where nobody says
 */
export function comparisonOf(
  pictures: number,
  full: Money,
  rateOf: (currency: string) => number | null,
): readonly Compared[] {
  const compared = table.map((row): Compared => {
    const nano = nanoOf(row.price) * BigInt(pictures);
    const rate = rateOf(row.currency);
    const home = rate === null ? null : dividedBy(nano * nanoOf(rate), 1_000_000_000n);
    const unit = row.unit === 'megapixel' ? 'megapixel' : 'image';
    const times = home === null || full.nano === null || full.nano <= 0n ? null : Number(home) / Number(full.nano);
    return { ...row, unit, nano, home, times };
  });
  return compared.sort((a, b) => a.price - b.price || (a.model < b.model ? -1 : 1));
}

const SOME = 5;

/** Where there is little room: the cheapest, the dearest, and what lies evenly between them by its place, cheapest first. */
export function someOf(compared: readonly Compared[]): readonly Compared[] {
  if (compared.length <= SOME) return compared;
  const step = (compared.length - 1) / (SOME - 1);
  return compared.filter((_, at) => Array.from({ length: SOME }, (_, n) => Math.round(n * step)).includes(at));
}
