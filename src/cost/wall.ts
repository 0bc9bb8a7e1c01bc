import type { Millijoules, Seconds, Watts } from '../units.ts';
import { addedEnergy, type Energy, type EnergyKind } from './report-energy.ts';
import { addedMoney, type Money, sumOf } from './report-money.ts';
import { dividedBy } from './tariff.ts';

/** What is known of the way from the wall to the cards. */
export interface WallSettings {
  /** Part of what the supply takes from the wall that it passes on, 0 … 1. */
  readonly efficiency: number;
  /**
   * Of the rest of the host, behind the supply. Null where nobody said: then what the cards' part took from the wall is
   * told, which is less than what the host did, and whoever shows it says so with {@link hostText}.
   */
  readonly hostWatts: Watts | null;
}

/**
 * (cards + host) / efficiency: never better than derived, since one efficiency stands for all loads.
 * @param millijoules of all cards together; null where unknown
 */
export function atWall<Known extends Millijoules | null>(
  { efficiency, hostWatts }: WallSettings,
  millijoules: Known,
  seconds: Seconds,
): Known | Millijoules {
  return millijoules === null
    ? millijoules
    : Math.round((millijoules + (hostWatts ?? 0) * seconds * 1000) / efficiency);
}

/** What of the host is in it. */
export function hostText({ hostWatts }: WallSettings): string {
  return hostWatts === null ? 'the rest of the host left out, energy.host_watts sets it' : `${hostWatts} W of host`;
}

/** At the wall, always derived. */
export interface Wall extends WallSettings {
  readonly energy: Readonly<Record<'active' | 'overhead' | 'idle', Millijoules | null>>;
  /** Of the three together; null where nothing is known. */
  readonly millijoules: Millijoules | null;
  /** Rows of unknown energy among them; with any, read all of this as "at least". */
  readonly unknowns: number;
  readonly marginal: Money;
  readonly cash: Money;
  readonly full: Money;
}

const OURS = ['active', 'overhead', 'idle'] as const;

/**
 * Of a report. What the host draws counts once for all cards, so each card's time carries its part of it.
 * @param cards how many there are; 0 for a processor alone
 * @param beside what is no electricity: added as it is
 */
export function wallOf(
  settings: WallSettings,
  energies: Readonly<Record<EnergyKind, Energy>>,
  costs: Readonly<Record<'active' | 'overhead' | 'idle', Money>> & {
    readonly beside: Money;
    readonly amortisation: Money;
  },
  cards: number,
): Wall {
  const watts = (settings.hostWatts ?? 0) / Math.max(1, cards);
  const taken = ({ millijoules, seconds }: Energy) => atWall({ ...settings, hostWatts: watts }, millijoules, seconds);
  const energy = { active: taken(energies.active), overhead: taken(energies.overhead), idle: taken(energies.idle) };
  const [active, overhead, idle] = OURS.map((kind) => scaled(costs[kind], energies[kind].millijoules, energy[kind]));
  const marginal = addedMoney([active, overhead].filter((part) => part !== undefined));
  const cash = addedMoney([marginal, costs.beside, ...(idle === undefined ? [] : [idle])]);
  const ours = addedEnergy(OURS.map((kind) => energies[kind]));
  return {
    ...settings,
    energy,
    millijoules: ours.millijoules === null ? null : sumOf(Object.values(energy).map((value) => value ?? 0)),
    unknowns: ours.unknowns,
    marginal,
    cash,
    full: addedMoney([cash, costs.amortisation]),
  };
}

/** Electricity costs the same on both sides of the supply, so money grows as energy does. */
function scaled(money: Money, from: Millijoules | null, to: Millijoules | null): Money {
  if (money.entries === 0 || (from === 0 && to === 0)) return money;
  if (money.nano === null || from === null || to === null || from === 0)
    return { ...money, nano: null, method: 'unknown', unknowns: money.entries - money.apart };
  const nano = dividedBy(money.nano * BigInt(to), BigInt(from));
  return { ...money, nano, method: money.method === 'measured' ? 'derived' : money.method };
}
