import type { EnergyAndMoney, RunTotals } from '../ports.ts';
import { decimalOf, type Method, type MoneyFigure } from '../units.ts';
import { dividedBy } from './tariff.ts';
import { addedUp } from './totals.ts';

export interface EnergyFigure {
  readonly joules: number | null;
  readonly method: Method;
}

export interface CostFigures {
  readonly energy: EnergyFigure;
  /** Null with method `unknown` where nothing is known, and where there are several currencies: those are never added. */
  readonly cost: MoneyFigure;
  /** One for each currency. */
  readonly costs: readonly MoneyFigure[];
  /** Entries that the sums do not hold; with any, read a sum as "at least". */
  readonly unknowns: number;
}

export interface CostSummary {
  /** Everything that this run took; `pictures` and `overhead` add up to it. */
  readonly total: CostFigures;
  /** The receipts of the pictures that were made. */
  readonly pictures: CostFigures;
  /** Loads, failures, and pictures that were made twice. */
  readonly overhead: CostFigures;
  /** Means over the pictures made, without overhead; unknown where there is no picture. */
  readonly perImage: { readonly energy: EnergyFigure; readonly cost: MoneyFigure };
  readonly perThousand: { readonly energy: EnergyFigure; readonly cost: MoneyFigure };
}

/** @param currency names the amount where nothing was priced, or in more than one currency */
export function costSummaryOf(totals: RunTotals, currency: string): CostSummary {
  const { active, overhead, images } = totals;
  return {
    total: figuresOf(addedUp([active, overhead]), currency),
    pictures: figuresOf(active, currency),
    overhead: figuresOf(overhead, currency),
    perImage: meanOf(active, images, 1, currency),
    perThousand: meanOf(active, images, 1000, currency),
  };
}

function figuresOf(sums: EnergyAndMoney, currency: string): CostFigures {
  const costs = sums.costs.map(moneyOf);
  return {
    energy: { joules: sums.joules, method: sums.energyMethod },
    cost: costOf(costs, currency),
    costs,
    unknowns: sums.unknowns,
  };
}

function costOf([only, ...others]: readonly MoneyFigure[], currency: string): MoneyFigure {
  if (only === undefined) return { amount: 0, currency, method: 'measured' };
  return others.length === 0 ? only : { amount: null, currency, method: 'unknown' };
}

function meanOf(active: EnergyAndMoney, images: number, count: number, currency: string): CostSummary['perImage'] {
  return { energy: meanEnergy(active, images, count), cost: meanCost(active, images, count, currency) };
}

function meanEnergy({ joules, energyMethod, unknowns }: EnergyAndMoney, images: number, count: number): EnergyFigure {
  if (joules === null || images === 0 || unknowns > 0) return { joules: null, method: 'unknown' };
  return { joules: Math.round((joules * 1000 * count) / images) / 1000, method: energyMethod };
}

/** A picture of unknown cost is no free picture, so it is left out of the mean. */
function meanCost({ costs, unknowns }: EnergyAndMoney, images: number, count: number, currency: string): MoneyFigure {
  const [only, ...others] = costs;
  const known = images - unknowns;
  if (only === undefined || only.nano === null || others.length > 0 || known <= 0) {
    return { amount: null, currency, method: 'unknown' };
  }
  const nano = dividedBy(only.nano * BigInt(count), BigInt(known));
  return { amount: decimalOf(nano), currency: only.currency, method: only.method };
}

function moneyOf({ nano, currency, method }: EnergyAndMoney['costs'][number]): MoneyFigure {
  return { amount: nano === null ? null : decimalOf(nano), currency, method };
}
