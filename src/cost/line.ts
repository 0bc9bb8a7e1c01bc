import type { EnergyAndMoney, RunTotals } from '../ports.ts';
import { decimalOf, type Method, type Seconds } from '../units.ts';
import { addedUp } from './totals.ts';

export interface LineFigures {
  /** Pictures of the run that are done, of so many. */
  readonly done: number;
  readonly total: number;
  readonly failed: number;
  /** Of the whole run, like the counts. */
  readonly totals: RunTotals;
  /** Since it was submitted. */
  readonly seconds: Seconds;
}

/**
 * A run on one line of a phone: `987/1000, 13 failed, 2.1 kWh, 0.61 EUR, 5 h 12`. What is not measured carries `~`, a
 * sum that does not hold everything says "at least", and currencies stay apart.
 * @param why what happened to it, where that is not that it is done; stands in front
 */
export function noticeLine(figures: LineFigures, why: string | null = null): string {
  const { done, total, failed, totals, seconds } = figures;
  const bill = addedUp([totals.active, totals.overhead]);
  const booked = bill.costs.length > 0;
  const parts = [
    `${done}/${total}`,
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(booked ? [energyOf(bill), ...moneyOf(bill)] : []),
    spanOf(seconds),
  ];
  return `${why === null ? '' : `${why}; `}${parts.join(', ')}`;
}

const JOULES_PER_KWH = 3_600_000;

function energyOf({ joules, energyMethod, energyUnknowns }: EnergyAndMoney): string {
  if (joules === null) return 'energy unknown';
  const figure = joules < 10_000 ? `${short(joules)} J` : `${short(joules / JOULES_PER_KWH)} kWh`;
  return marked(figure, energyMethod, energyUnknowns);
}

function moneyOf({ costs, costUnknowns }: EnergyAndMoney): string[] {
  const known = costs.flatMap(({ nano, currency, method }) => (nano === null ? [] : { nano, currency, method }));
  if (known.length === 0) return ['cost unknown'];
  return known.map(({ nano, currency, method }, at) => {
    const amount = decimalOf(nano);
    const figure = amount >= 0.1 ? amount.toFixed(2) : short(amount);
    return marked(`${figure} ${currency}`, method, at === 0 ? costUnknowns : 0);
  });
}

function marked(figure: string, method: Method, unknowns: number): string {
  return `${unknowns > 0 ? 'at least ' : ''}${method === 'measured' ? '' : '~'}${figure}`;
}

/** Two significant digits, more only where they stand before the point. */
function short(value: number): string {
  if (value === 0) return '0';
  return value.toFixed(Math.min(9, Math.max(0, 1 - Math.floor(Math.log10(value)))));
}

/** `45 s`, `12 min`, `5 h 12`. */
function spanOf(seconds: Seconds): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')}`;
}
