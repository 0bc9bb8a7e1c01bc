import { decimalText } from '../cost/decimal.ts';
import { csvLine, plain } from '../cost/ledger-text.ts';
import type { Report } from '../cost/report.ts';
import type { Figures } from '../cost/report-figures.ts';
import { kwhOf } from '../units.ts';

const HEAD = [
  'line',
  'group',
  'currency',
  'pictures',
  'active_kwh',
  'overhead_kwh',
  'idle_kwh',
  'foreign_kwh',
  'unknown_kwh',
  'rows_of_unknown_energy',
  'marginal',
  'idle',
  'fixed',
  'charges',
  'credits',
  'cash',
  'amortisation',
  'full',
  'rows_of_unknown_cost',
  'method',
  'marginal_per_picture',
  'full_per_picture',
  'wall_kwh',
  'wall_full',
  'without',
];

/** A line for each group, and one for all, whose first cell is `total` and no group's. What is unknown is empty. */
export function reportCsv(report: Report): readonly string[] {
  const { groups, total, currency } = report;
  return [
    csvLine(HEAD),
    ...groups.map(({ name, label, figures }) =>
      csvLine(['group', name === null ? '' : label, ...cellsOf(figures, currency)]),
    ),
    csvLine(['total', '', ...cellsOf(total, currency)]),
  ];
}

function cellsOf(figures: Figures, currency: string): readonly string[] {
  const { pictures, energy, electricity, marginal, fixed, charges, credits, cash, amortisation, full } = figures;
  const kwh = (millijoules: number | null | undefined) => (millijoules == null ? '' : plain(kwhOf(millijoules)));
  const amount = (nano: bigint | null | undefined) => (nano == null ? '' : decimalText(nano));
  const energies = [energy.active, energy.overhead, energy.idle, energy.foreign, energy.unknown];
  return [
    currency,
    String(pictures),
    ...energies.map(({ millijoules }) => kwh(millijoules)),
    String(energies.reduce((sum, { unknowns }) => sum + unknowns, 0)),
    ...[marginal, electricity.idle, fixed, charges, credits, cash, amortisation, full].map(({ nano }) => amount(nano)),
    String(full.unknowns),
    full.method,
    amount(figures.perPicture?.marginal),
    amount(figures.perPicture?.full),
    kwh(figures.wall?.millijoules),
    amount(figures.wall?.full.nano),
    figures.apart.map((part) => `${decimalText(part.nano)} ${part.currency}`).join(' '),
  ];
}
