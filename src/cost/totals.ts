import type { EnergyAndMoney, Entry, Receipt, RunTotals } from '../ports.ts';
import { type Method, type Millijoules, nanoOf, type Seconds, weakest } from '../units.ts';

/** Sums over entries that agree in part, currency and methods. Amounts are null where the method is `unknown`. */
export interface EntryGroup {
  /** Of the bill; see `Store.totals`. */
  readonly part: Entry['kind'];
  readonly currency: string;
  readonly energyMethod: Method;
  readonly costMethod: Method;
  readonly entries: number;
  readonly millijoules: Millijoules | null;
  readonly nano: bigint | null;
  readonly seconds: Seconds;
}

/** Puts the few groups of a run together: unknown amounts are counted, not added; currencies stay apart. */
export function totalsOf(groups: readonly EntryGroup[], batches: number): RunTotals {
  const active = groups.filter((group) => group.part === 'active');
  return {
    images: entriesIn(active),
    batches,
    active: energyAndMoney(active),
    overhead: energyAndMoney(groups.filter((group) => group.part === 'overhead')),
  };
}

/** Two sums as one. What never was (no entry, so no currency) is no part and weakens nothing. */
export function addedUp(parts: readonly EnergyAndMoney[]): EnergyAndMoney {
  const present = parts.filter((part) => part.costs.length > 0);
  return {
    ...energySum(
      present.map(({ joules, energyMethod }) => {
        return { millijoules: joules === null ? null : Math.round(joules * 1000), energyMethod };
      }),
    ),
    costs: costsOf(present.flatMap((part) => part.costs)),
    seconds: sum(parts.map((part) => part.seconds)),
    energyUnknowns: sum(parts.map((part) => part.energyUnknowns)),
    costUnknowns: sum(parts.map((part) => part.costUnknowns)),
  };
}

/** A single receipt as a sum. */
export function groupOf(part: Entry['kind'], { energy, cost, seconds }: Receipt): EntryGroup {
  return {
    part,
    currency: cost.currency,
    energyMethod: energy.method,
    costMethod: cost.method,
    entries: 1,
    millijoules: energy.joules === null ? null : Math.round(energy.joules * 1000),
    nano: cost.amount === null ? null : nanoOf(cost.amount),
    seconds: seconds.share,
  };
}

function energyAndMoney(groups: readonly EntryGroup[]): EnergyAndMoney {
  return {
    ...energySum(groups),
    costs: costsOf(groups.map(({ nano, currency, costMethod }) => ({ nano, currency, method: costMethod }))),
    seconds: sum(groups.map((group) => group.seconds)),
    energyUnknowns: entriesIn(groups.filter((group) => group.millijoules === null)),
    costUnknowns: entriesIn(groups.filter((group) => group.nano === null)),
  };
}

function entriesIn(groups: readonly EntryGroup[]): number {
  return sum(groups.map((group) => group.entries));
}

type EnergyPart = Pick<EntryGroup, 'millijoules' | 'energyMethod'>;

/** The sum of nothing is 0; the sum of unknowns is unknown. */
function energySum(parts: readonly EnergyPart[]): Pick<EnergyAndMoney, 'joules' | 'energyMethod'> {
  const known = parts.filter((part) => part.millijoules !== null);
  if (parts.length > 0 && known.length === 0) return { joules: null, energyMethod: 'unknown' };
  return {
    joules: sum(known.map((part) => part.millijoules ?? 0)) / 1000,
    energyMethod: weakest(known.map((part) => part.energyMethod)),
  };
}

type Cost = EnergyAndMoney['costs'][number];

function costsOf(parts: readonly Cost[]): readonly Cost[] {
  return [...new Set(parts.map((part) => part.currency))].sort().map((currency) => {
    const known = parts.filter((part) => part.currency === currency && part.nano !== null);
    if (known.length === 0) return { nano: null, currency, method: 'unknown' };
    const nano = known.reduce((total, part) => total + (part.nano ?? 0n), 0n);
    return { nano, currency, method: weakest(known.map((part) => part.method)) };
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
