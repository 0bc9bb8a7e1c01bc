import type { LedgerKind, LedgerSum } from '../ports.ts';
import { type Method, type Millijoules, type Seconds, weakest } from '../units.ts';
import { type Piece, sumOf } from './report-money.ts';

export interface Energy {
  /** Sum of what is known; null where nothing is although something was booked. */
  readonly millijoules: Millijoules | null;
  /** The true sum of what is known is at most so far away; null where any part of it says nothing of that. */
  readonly bound: Millijoules | null;
  readonly method: Method;
  /** Rows of unknown energy; with any, read the sum as "at least". */
  readonly unknowns: number;
  readonly entries: number;
  /** Rows of which it cannot be told whether other programs burnt a part. */
  readonly untold: number;
  /** Of `millijoules`, what is of those rows. */
  readonly untoldMillijoules: Millijoules;
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

/**
 * Where work was done and no card was there, nobody watched what happens between: no rows of it then mean that it is not
 * known, and not that it was none.
 */
export function unwatched(
  energy: Readonly<Record<EnergyKind, EnergyByCause>>,
  pieces: readonly Piece[],
): Readonly<Record<EnergyKind, EnergyByCause>> {
  const sources = sourcesOf(pieces);
  if (energy.active.entries + energy.overhead.entries === 0 || sources.includes('cards')) return energy;
  if (pieces.some(({ gpu }) => gpu !== null)) return energy;
  const told = (one: EnergyByCause) => (one.entries > 0 ? one : { ...one, millijoules: null, method: UNKNOWN });
  return { ...energy, idle: told(energy.idle), foreign: told(energy.foreign), unknown: told(energy.unknown) };
}

const UNKNOWN: Method = 'unknown';

/** What energies are of: what cards or processors metered, or what was assumed where nothing did. */
export const ENERGY_SOURCES = ['cards', 'processors', 'assumed'] as const;
export type EnergySource = (typeof ENERGY_SOURCES)[number];

/** Of all rows together, in the order of their names above. Rows of charges, and those that tell nothing, are of none. */
export function sourcesOf(pieces: readonly Piece[]): readonly EnergySource[] {
  const found = new Set(pieces.map(sourceOf));
  return ENERGY_SOURCES.filter((source) => found.has(source));
}

function sourceOf({ kind, gpu, energyMethod }: Piece): EnergySource | null {
  if (!ENERGY_KINDS.some((one) => one === kind)) return null;
  if (energyMethod === 'assumed') return 'assumed';
  if (gpu !== null) return 'cards';
  // What processors count has all programs in it, and is derived; a ledger of before did not say which card.
  if (energyMethod === 'derived') return 'processors';
  return energyMethod === 'measured' ? 'cards' : null;
}

function energyOf(sums: readonly LedgerSum[]): Energy {
  return addedEnergy(
    sums.map(({ millijoules, energyMethod: method, seconds, ...sum }) => {
      const { bound, entries, untold, untoldMillijoules } = sum;
      const unknown = millijoules === null;
      const known = { unknowns: unknown ? entries : 0, seconds: unknown ? 0 : seconds };
      return { millijoules, bound, method, entries, untold, untoldMillijoules, ...known };
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
    untold: sumOf(present.map((part) => part.untold)),
    untoldMillijoules: sumOf(present.map((part) => part.untoldMillijoules)),
    bound: boundOf(known),
    seconds: sumOf(known.map((part) => part.seconds)),
  };
  if (present.length > 0 && known.length === 0) return { ...total, millijoules: null, method: 'unknown' };
  const millijoules = sumOf(known.map((part) => part.millijoules ?? 0));
  return { ...total, millijoules, method: weakest(known.map(({ method }) => method)) };
}

function boundOf(parts: readonly Energy[]): Millijoules | null {
  return parts.some(({ bound }) => bound === null) ? null : sumOf(parts.map(({ bound }) => bound ?? 0));
}
