import type { LedgerSpan } from '../ports.ts';
import type { Millijoules } from '../units.ts';
import type { Calendar } from './local-days.ts';
import { addedEnergy, type Energy, type EnergyKind, energiesOf } from './report-energy.ts';
import { tiles } from './report-groups.ts';
import { addedMoney, type Money, moneyOf, type Piece, sumOf } from './report-money.ts';

/** A local day, or some of them together where the time is long. */
export interface TrendStep {
  /** `2026-11-30`, the first one. */
  readonly day: string;
  readonly days: number;
  readonly pictures: number;
  /** Of pictures and overhead. Each is null where nothing of it is known although something was booked. */
  readonly work: Millijoules | null;
  readonly idle: Millijoules | null;
  readonly foreign: Millijoules | null;
  /** Rows of unknown energy among those three, which are "at least" then. */
  readonly unknowns: number;
  /** Electricity of all that is ours. */
  readonly cost: Money;
}

/** More would be narrower than a letter, or than a bar that can be seen. */
const MOST_STEPS = 62;

/**
 * @param pieces by quarter of an hour
 * @param whole of all of them: what is not known of the whole is known of no day
 */
export function trendOf(
  pieces: readonly Piece[],
  span: LedgerSpan,
  calendar: Calendar,
  whole: Readonly<Record<EnergyKind, Energy>>,
): readonly TrendStep[] {
  const days = tiles('day', span, calendar);
  const together = Math.max(1, Math.ceil(days.length / MOST_STEPS));
  const byDay = Map.groupBy(pieces, ({ slot }) => calendar.dayOf(slot ?? 0));
  return Array.from({ length: Math.ceil(days.length / together) }, (_, step) => {
    const covered = days.slice(step * together, (step + 1) * together);
    const rows = covered.flatMap(({ name }) => byDay.get(name) ?? []);
    return { day: covered[0]?.name ?? '', days: covered.length, ...stepOf(rows, whole) };
  });
}

function stepOf(rows: readonly Piece[], whole: Readonly<Record<EnergyKind, Energy>>): Omit<TrendStep, 'day' | 'days'> {
  const of = (...kinds: readonly Piece['kind'][]) => rows.filter(({ kind }) => kinds.includes(kind));
  const { active, overhead, idle, foreign } = energiesOf(rows);
  return {
    pictures: sumOf(of('active').map(({ entries }) => entries)),
    work: addedEnergy([active, overhead]).millijoules,
    idle: whole.idle.millijoules === null ? null : idle.millijoules,
    foreign: whole.foreign.millijoules === null ? null : foreign.millijoules,
    unknowns: addedEnergy([active, overhead, idle, foreign]).unknowns,
    cost: addedMoney([moneyOf(of('active', 'overhead')), moneyOf(of('idle'))]),
  };
}
