import type { LedgerKind, LedgerSum } from '../ports.ts';
import { type Method, type Millijoules, type Seconds, type Watts, weakest } from '../units.ts';
import { addedMoney, type Money, type Piece, sumOf } from './report-money.ts';
import { dividedBy } from './tariff.ts';

export interface Energy {
  /** Sum of what is known; null where nothing is although something was booked. */
  readonly millijoules: Millijoules | null;
  /** The true sum is at most so far away, as far as the meters tell. */
  readonly bound: Millijoules;
  readonly method: Method;
  /** Rows of unknown energy; with any, read the sum as "at least". */
  readonly unknowns: number;
  readonly entries: number;
  /** Of those rows whose energy is known, all cards together. */
  readonly seconds: Seconds;
}

/** One kind of the ledger, and its causes in the order of their names. */
export interface EnergyByCause extends Energy {
  readonly causes: Readonly<Record<string, Energy>>;
}

export const ENERGY_KINDS = ['active', 'overhead', 'idle', 'foreign', 'unknown'] as const;
export type EnergyKind = (typeof ENERGY_KINDS)[number];

export function energiesOf(pieces: readonly Piece[]): Readonly<Record<EnergyKind, EnergyByCause>> {
  const of = (kind: LedgerKind): EnergyByCause => {
    const all = pieces.filter((piece) => piece.kind === kind);
    const names = [...new Set(all.flatMap(({ cause }) => (cause === null ? [] : [cause])))].sort();
    const causes = names.map((name) => [name, energyOf(all.filter(({ cause }) => cause === name))] as const);
    return { ...energyOf(all), causes: Object.fromEntries(causes) };
  };
  return {
    active: of('active'),
    overhead: of('overhead'),
    idle: of('idle'),
    foreign: of('foreign'),
    unknown: of('unknown'),
  };
}

function energyOf(sums: readonly LedgerSum[]): Energy {
  return addedEnergy(
    sums.map(({ millijoules, bound, energyMethod: method, entries, seconds }) => {
      const unknown = millijoules === null;
      return { millijoules, bound, method, entries, unknowns: unknown ? entries : 0, seconds: unknown ? 0 : seconds };
    }),
  );
}

/** What never was weakens nothing; the sum of unknowns is unknown. */
export function addedEnergy(parts: readonly Energy[]): Energy {
  const present = parts.filter(({ entries }) => entries > 0);
  const known = present.filter(({ millijoules }) => millijoules !== null);
  const total = {
    unknowns: sumOf(present.map((part) => part.unknowns)),
    entries: sumOf(present.map((part) => part.entries)),
    bound: sumOf(known.map((part) => part.bound)),
    seconds: sumOf(known.map((part) => part.seconds)),
  };
  if (present.length > 0 && known.length === 0) return { ...total, millijoules: null, method: 'unknown' };
  const millijoules = sumOf(known.map((part) => part.millijoules ?? 0));
  return { ...total, millijoules, method: weakest(known.map(({ method }) => method)) };
}

/** What is known of the way from the wall to the cards. */
export interface WallSettings {
  readonly efficiency: number;
  /** Null: only the supply's loss is told, and not what the rest of the host draws. */
  readonly hostWatts: Watts | null;
}

/** At the wall, always derived. */
export interface Wall extends WallSettings {
  readonly energy: Readonly<Record<'active' | 'overhead' | 'idle', Millijoules | null>>;
  /** Of the three together. */
  readonly millijoules: Millijoules | null;
  readonly marginal: Money;
  readonly cash: Money;
  readonly full: Money;
}

const OURS = ['active', 'overhead', 'idle'] as const;

/**
 * (cards + host) / efficiency. What the host draws counts once for all cards, so each card's time carries its part of it.
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
  const atWall = (energy: Energy) =>
    energy.millijoules === null
      ? null
      : Math.round((energy.millijoules + watts * energy.seconds * 1000) / settings.efficiency);
  const energy = { active: atWall(energies.active), overhead: atWall(energies.overhead), idle: atWall(energies.idle) };
  const [active, overhead, idle] = OURS.map((kind) => scaled(costs[kind], energies[kind].millijoules, energy[kind]));
  const marginal = addedMoney([active, overhead].filter((part) => part !== undefined));
  const cash = addedMoney([marginal, costs.beside, ...(idle === undefined ? [] : [idle])]);
  const known = Object.values(energy).filter((value) => value !== null);
  return {
    ...settings,
    energy,
    millijoules: known.length === 0 ? null : sumOf(known),
    marginal,
    cash,
    full: addedMoney([cash, costs.amortisation]),
  };
}

/** Electricity costs the same on both sides of the supply, so money grows as energy does. */
function scaled(money: Money, from: Millijoules | null, to: Millijoules | null): Money {
  if (money.entries === 0 || (from === 0 && to === 0)) return money;
  if (money.nano === null || from === null || to === null || from === 0)
    return { ...money, nano: null, method: 'unknown', unknowns: money.entries };
  const nano = dividedBy(money.nano * BigInt(to), BigInt(from));
  return { ...money, nano, method: money.method === 'measured' ? 'derived' : money.method };
}
