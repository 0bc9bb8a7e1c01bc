import type { Watts } from '../units.ts';
import type { Piece } from './report-money.ts';

/** What the rows of a report were booked with, whatever the configuration says by now. */
export interface Basis {
  /** Of the energy that is time x watts: the watts in the mean of those rows; null where there are none. */
  readonly assumedWatts: Watts | null;
  /** By currency, in the order of their names. */
  readonly prices: readonly MeanPrice[];
}

/** Of the rows of pictures, overhead and idle that have both an energy and an amount. */
export interface MeanPrice {
  readonly currency: string;
  readonly perKwh: number;
  /** Whether nobody had set the price of a part of them. Where the energy is assumed as well, rows do not tell: null. */
  readonly assumed: boolean | null;
}

export function basisOf(pieces: readonly Piece[]): Basis {
  const ours = pieces.filter(({ kind }) => kind === 'active' || kind === 'overhead' || kind === 'idle');
  const burnt = added(ours.filter(({ energyMethod }) => energyMethod === 'assumed'));
  const priced = ours.filter(({ nano, millijoules }) => nano !== null && millijoules !== null && millijoules !== 0);
  const byCurrency = [...Map.groupBy(priced, ({ currency }) => currency)].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    assumedWatts: burnt.seconds > 0 ? burnt.millijoules / 1000 / burnt.seconds : null,
    prices: byCurrency.flatMap(([currency, rows]) => {
      const { nano, millijoules } = added(rows);
      if (millijoules === 0) return [];
      return [{ currency, perKwh: (Number(nano) / 1e9 / millijoules) * 3.6e9, assumed: assumedIn(rows) }];
    }),
  };
}

function added(rows: readonly Piece[]) {
  return rows.reduce(
    (sum, { millijoules, seconds, nano }) => ({
      millijoules: sum.millijoules + (millijoules ?? 0),
      seconds: sum.seconds + (millijoules === null ? 0 : seconds),
      nano: sum.nano + (nano ?? 0n),
    }),
    { millijoules: 0, seconds: 0, nano: 0n },
  );
}

/** A cost has the weaker method of its energy and its price. */
function assumedIn(rows: readonly Piece[]): boolean | null {
  const assumed = rows.filter(({ costMethod }) => costMethod === 'assumed');
  if (assumed.some(({ energyMethod }) => energyMethod !== 'assumed')) return true;
  return assumed.length === 0 ? false : null;
}
