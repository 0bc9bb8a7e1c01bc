import type { EnergyAndMoney, Entry, RunTotals } from '../ports.ts';
import { type Method, type Millijoules, type Seconds, weakest } from '../units.ts';

/** Sums over entries that agree in kind, currency and methods. Amounts are null where the method is `unknown`. */
export interface EntryGroup {
  readonly kind: Entry['kind'];
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
  const active = groups.filter((group) => group.kind === 'active');
  return {
    images: sum(active.map((group) => group.entries)),
    batches,
    active: energyAndMoney(active),
    overhead: energyAndMoney(groups.filter((group) => group.kind === 'overhead')),
  };
}

function energyAndMoney(groups: readonly EntryGroup[]): EnergyAndMoney {
  const metered = groups.filter((group) => group.millijoules !== null);
  const allUnknown = groups.length > 0 && metered.length === 0;
  const unknown = groups.filter((group) => group.millijoules === null || group.nano === null);
  return {
    joules: allUnknown ? null : sum(metered.map((group) => group.millijoules ?? 0)) / 1000,
    energyMethod: allUnknown ? 'unknown' : weakest(metered.map((group) => group.energyMethod)),
    costs: [...new Set(groups.map((group) => group.currency))].sort().map((currency) => costIn(currency, groups)),
    seconds: sum(groups.map((group) => group.seconds)),
    unknowns: sum(unknown.map((group) => group.entries)),
  };
}

function costIn(currency: string, groups: readonly EntryGroup[]): EnergyAndMoney['costs'][number] {
  const priced = groups.filter((group) => group.currency === currency && group.nano !== null);
  if (priced.length === 0) return { nano: null, currency, method: 'unknown' };
  return {
    nano: priced.reduce((total, group) => total + (group.nano ?? 0n), 0n),
    currency,
    method: weakest(priced.map((group) => group.costMethod)),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
