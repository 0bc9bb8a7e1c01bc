import type { Millijoules } from '../units.ts';
import {
  addedEnergy,
  ENERGY_KINDS,
  type Energy,
  type EnergyByCause,
  type EnergyKind,
  energiesOf,
  unwatched,
} from './report-energy.ts';
import {
  type Amount,
  addedMoney,
  type Money,
  moneyOf,
  NOTHING,
  type Piece,
  perPicture,
  sumOf,
} from './report-money.ts';
import { type Wall, type WallSettings, wallOf } from './wall.ts';

/** What a report says of all rows, and of each group of them. */
export interface Figures {
  readonly pictures: number;
  /** As the meters of the cards say. */
  readonly energy: Readonly<Record<EnergyKind, EnergyByCause>>;
  /** Electricity by kind, at home; foreign and unknown are in none of the three costs. */
  readonly electricity: Readonly<Record<EnergyKind, Money>>;
  /** Of the connection, for this part of its months. */
  readonly fixed: Money;
  /** Subscriptions, bills and their corrections. */
  readonly charges: Money;
  /** Negative. */
  readonly credits: Money;
  readonly amortisation: Money;
  /** Electricity of pictures and overhead. */
  readonly marginal: Money;
  /** Marginal, idle, fixed, charges, credits: what left the account. */
  readonly cash: Money;
  /** Cash and amortisation. */
  readonly full: Money;
  /** Null where no picture was made. */
  readonly perPicture: PerPicture | null;
  /** Idle's share of our energy, 0 … 1; null where nothing was burnt, or a part of any of the three is unknown. */
  readonly idlePart: number | null;
  /** Null where nothing is known of the wall. */
  readonly wall: Wall | null;
  /** What no rate takes home, by currency; in none of the sums. */
  readonly apart: readonly Amount[];
}

/** In nano-units of the home currency, each to the nearest; null where the sum is unknown. */
export interface PerPicture {
  /** Of the electricity of the pictures themselves, without overhead; null where none is known. */
  readonly spread: Spread | null;
  readonly marginal: bigint | null;
  readonly cash: bigint | null;
  readonly full: bigint | null;
  readonly perThousand: Readonly<Record<'marginal' | 'cash' | 'full', bigint | null>>;
  /** Of cards, pictures and overhead. */
  readonly millijoules: Millijoules | null;
}

/** In units of the home currency, which are floats here: a spread is no booking. */
export interface Spread {
  /** Pictures whose cost is known. */
  readonly pictures: number;
  readonly mean: number;
  /** Standard deviation of all of them, not of a sample. */
  readonly deviation: number;
  readonly least: number;
  readonly most: number;
}

/** What belongs to no row: its share of what costs money by the month. */
export interface Beside {
  readonly fixed: Money;
  readonly amortisation: Money;
  readonly apart: readonly Amount[];
}

export interface FigureSettings {
  /** Null: nothing at the wall is told. */
  readonly wall: WallSettings | null;
  /** How many cards the whole report is of. */
  readonly cards: number;
}

export function figuresOf(pieces: readonly Piece[], beside: Beside, { wall, cards }: FigureSettings): Figures {
  const of = (...kinds: readonly Piece['kind'][]) => pieces.filter(({ kind }) => kinds.includes(kind));
  const energy = unwatched(energiesOf(pieces), pieces);
  const electricity = Object.fromEntries(
    ENERGY_KINDS.map((kind) => [kind, electricityOf(of(kind), energy[kind])]),
  ) as Figures['electricity'];
  const { active, overhead, idle } = electricity;
  const { fixed, amortisation } = beside;
  const [charges, credits] = [moneyOf(of('charge', 'correction')), moneyOf(of('credit'))];
  const marginal = addedMoney([active, overhead]);
  const cash = addedMoney([marginal, idle, fixed, charges, credits]);
  const full = addedMoney([cash, amortisation]);
  const pictures = sumOf(of('active').map(({ entries }) => entries));
  const notElectric = addedMoney([fixed, charges, credits]);
  return {
    pictures,
    energy,
    electricity,
    fixed,
    charges,
    credits,
    amortisation,
    marginal,
    cash,
    full,
    perPicture: pictures === 0 ? null : perPictureOf({ marginal, cash, full }, of('active'), pictures, energy),
    idlePart: idlePartOf(energy),
    wall: wall && wallOf(wall, energy, { active, overhead, idle, beside: notElectric, amortisation }, cards),
    apart: apartOf(pieces, beside.apart),
  };
}

function electricityOf(pieces: readonly Piece[], { entries, method }: Energy): Money {
  return entries === 0 && method === 'unknown' ? { ...NOTHING, nano: null, method } : moneyOf(pieces);
}

function perPictureOf(
  costs: Readonly<Record<'marginal' | 'cash' | 'full', Money>>,
  made: readonly Piece[],
  pictures: number,
  { active, overhead }: Figures['energy'],
): PerPicture {
  const each = (times: bigint) => ({
    marginal: perPicture(costs.marginal, pictures, times),
    cash: perPicture(costs.cash, pictures, times),
    full: perPicture(costs.full, pictures, times),
  });
  const known = active.millijoules === null ? null : active.millijoules + (overhead.millijoules ?? 0);
  const millijoules = known === null ? null : Math.round(known / pictures);
  return { ...each(1n), perThousand: each(1000n), spread: spreadOf(made), millijoules };
}

function spreadOf(made: readonly Piece[]): Spread | null {
  const known = made.filter(({ home }) => home !== null);
  const pictures = sumOf(known.map(({ entries }) => entries));
  if (pictures === 0) return null;
  const mean = sumOf(known.map(({ home }) => Number(home) / 1e9)) / pictures;
  const squares = sumOf(known.map(({ squares, rate }) => squares * rate * rate));
  const ends = (nano: bigint | null, rate: number) => (Number(nano ?? 0n) / 1e9) * rate;
  // Not Math.min(...): there may be more groups than a call takes arguments.
  const [least, most] = known.reduce(
    (found, { leastNano, mostNano, rate }) => [
      Math.min(found[0], ends(leastNano, rate)),
      Math.max(found[1], ends(mostNano, rate)),
    ],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] as const,
  );
  return {
    pictures,
    mean,
    deviation: Math.sqrt(Math.max(0, squares / pictures - mean * mean)),
    least,
    most,
  };
}

function idlePartOf({ active, overhead, idle }: Figures['energy']): number | null {
  const { millijoules, unknowns } = addedEnergy([active, overhead, idle]);
  if (unknowns > 0 || millijoules === null || idle.millijoules === null || millijoules <= 0) return null;
  return idle.millijoules / millijoules;
}

/** Of others' electricity there is no account to settle, so it is none of this. */
function apartOf(pieces: readonly Piece[], beside: readonly Amount[]): readonly Amount[] {
  const amounts = new Map<string, bigint>();
  const ours = pieces.filter(({ apart, kind }) => apart && kind !== 'foreign' && kind !== 'unknown');
  for (const { currency, nano } of [...ours, ...beside])
    amounts.set(currency, (amounts.get(currency) ?? 0n) + (nano ?? 0n));
  return [...amounts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([currency, nano]) => ({ currency, nano }));
}
