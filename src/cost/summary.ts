import type { EnergyAndMoney, RunTotals } from '../ports.ts';
import { decimalOf, type Method, type MoneyFigure } from '../units.ts';
import { dividedBy } from './tariff.ts';
import { addedUp } from './totals.ts';

export interface EnergyFigure {
  readonly joules: number | null;
  readonly method: Method;
  /** Ledger entries of unknown energy, which the sum does not hold; with any, read it as "at least". */
  readonly unknowns: number;
}

/** Null with method `unknown` where nothing is known, and where there are several currencies: those are never added. */
export interface CostFigure extends MoneyFigure {
  /** Ledger entries of unknown cost, as for energy. */
  readonly unknowns: number;
}

export interface CostFigures {
  readonly energy: EnergyFigure;
  readonly cost: CostFigure;
}

export interface CostSummary {
  /** Everything that this run took; `pictures` and `overhead` add up to it. */
  readonly total: CostFigures;
  /** The receipts of the pictures that were made. */
  readonly pictures: CostFigures;
  /** Loads, failures, and pictures that were made twice. */
  readonly overhead: CostFigures;
  /** Of `pictures`, for a thousand of them; what a load took once is not multiplied. Null where none was made. */
  readonly perThousand: CostFigures | null;
}

/** @param currency names the amount where nothing was priced, or in more than one currency */
export function costSummaryOf({ active, overhead, images }: RunTotals, currency: string): CostSummary {
  const total = addedUp([active, overhead]);
  return {
    total: figuresOf(total, currency),
    pictures: figuresOf(active, currency),
    overhead: figuresOf(overhead, currency),
    perThousand: images === 0 ? null : figuresOf(perThousand(active, images), currency),
  };
}

function figuresOf(sums: EnergyAndMoney, currency: string): CostFigures {
  return {
    energy: { joules: sums.joules, method: sums.energyMethod, unknowns: sums.energyUnknowns },
    cost: { ...moneyOf(sums.costs, currency), unknowns: sums.costUnknowns },
  };
}

function moneyOf([only, ...others]: EnergyAndMoney['costs'], currency: string): MoneyFigure {
  if (only === undefined) return { amount: 0, currency, method: 'measured' };
  if (others.length > 0) return { amount: null, currency, method: 'unknown' };
  return { amount: only.nano === null ? null : decimalOf(only.nano), currency: only.currency, method: only.method };
}

/** To the nearest millijoule and nano-unit. What is unknown stays as uncounted as it was. */
function perThousand(sums: EnergyAndMoney, images: number): EnergyAndMoney {
  const { joules, costs, seconds } = sums;
  return {
    ...sums,
    joules: joules === null ? null : Math.round((joules * 1_000_000) / images) / 1000,
    costs: costs.map((cost) => ({
      ...cost,
      nano: cost.nano === null ? null : dividedBy(cost.nano * 1000n, BigInt(images)),
    })),
    seconds: (seconds * 1000) / images,
  };
}
