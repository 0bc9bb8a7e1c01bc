import type { Report } from '../cost/report.ts';
import { addedEnergy, ENERGY_KINDS, type EnergyByCause, type EnergyKind } from '../cost/report-energy.ts';
import type { Figures } from '../cost/report-figures.ts';
import type { Money } from '../cost/report-money.ts';
import { counted, significant, whole } from './figures.ts';
import {
  amountText,
  energyText,
  foreignText,
  kwhText,
  moneyText,
  shortEnergy,
  shortMoney,
  sourcesText,
} from './report-words.ts';

/** What terminal and page both show, each in its way. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns of words; the others are figures, and end at one line. */
  readonly words: readonly number[];
}

export function tablesOf(report: Report): readonly Table[] {
  const { total, groups, comparison } = report;
  return [
    energyTable(report),
    costTable(report),
    ...(total.wall === null ? [] : [wallTable(report)]),
    ...(groups.length > 0 ? [groupTable(report)] : []),
    ...(comparison.length > 0 ? [comparisonTable(report)] : []),
  ];
}

const NAMES: Readonly<Record<EnergyKind, string>> = {
  active: 'pictures',
  overhead: 'overhead',
  idle: 'idle',
  foreign: 'other programs',
  unknown: 'unknown',
};

/** Beside pictures only what there is. */
function energyTable({ total, currency, sources }: Report): Table {
  const { energy, electricity } = total;
  const others = foreignText(total);
  const shown = ENERGY_KINDS.filter(
    (kind) => kind === 'active' || energy[kind].entries > 0 || (kind === 'foreign' && others === '?'),
  );
  return {
    title: `Energy${sourcesText(sources)}`,
    head: ['', 'energy', 'electricity', ''],
    rows: shown.map((kind) => [
      NAMES[kind],
      kind === 'foreign' ? others : energyText(energy[kind]),
      kind === 'foreign' && others === '?' ? '?' : moneyText(electricity[kind], currency),
      causesOf(energy[kind]),
    ]),
    words: [0, 3],
  };
}

/** `load 0.2, failed 0.05` in kilowatt-hours, the most first; `load` alone where it is all. */
function causesOf({ causes }: EnergyByCause): string {
  const found = Object.entries(causes).sort(([, a], [, b]) => (b.millijoules ?? 0) - (a.millijoules ?? 0));
  const named = (cause: string) => cause.replaceAll('_', ' ');
  if (found.length === 1) return found.map(([cause]) => named(cause)).join('');
  return found
    .map(([cause, { millijoules }]) => `${named(cause)} ${millijoules === null ? '?' : kwhText(millijoules)}`)
    .join(', ');
}

const COSTS = ['marginal', 'cash', 'full'] as const;

/** Each of the three, under what it has more than the one before. */
function costTable({ total, currency }: Report): Table {
  const { electricity, perPicture: each, fixed, charges, credits, amortisation } = total;
  const part = (name: string, money: Money) => [`  ${name}`, shortMoney(money), '', ''];
  const sum = (name: (typeof COSTS)[number]) => {
    const shares = each === null ? [] : [each[name], each.perThousand[name]];
    return [name, shortMoney(total[name]), ...shares.map((nano) => shortMoney({ ...total[name], nano }))];
  };
  const booked = (name: string, money: Money) => (money.entries === 0 ? [] : [part(name, money)]);
  return {
    title: `Cost in ${currency}${withoutText(total.apart, ', without')}`,
    head: ['', 'in all', 'a picture', '1,000'],
    rows: [
      part('electricity of pictures', electricity.active),
      part('electricity of overhead', electricity.overhead),
      sum('marginal'),
      part('idle electricity', electricity.idle),
      ...booked('fixed charges of the connection', fixed),
      ...booked('charges', charges),
      ...booked('credits', credits),
      sum('cash'),
      ...booked('hardware', amortisation),
      sum('full'),
    ],
    words: [0],
  };
}

function wallTable({ total: { wall, energy }, currency }: Report): Table {
  const kwh = (millijoules: number | null, unknowns: number) =>
    millijoules === null ? '?' : `${unknowns > 0 ? '>' : ''}~${kwhText(millijoules)}`;
  const row = (name: string, kind: 'active' | 'overhead' | 'idle') => {
    return [name, kwh(wall?.energy[kind] ?? null, energy[kind].unknowns), '', '', ''];
  };
  return {
    title: `At the wall, derived, in ${currency}`,
    head: ['', 'kWh', ...COSTS],
    rows:
      wall === null
        ? []
        : [
            row('  pictures', 'active'),
            row('  overhead', 'overhead'),
            row('  idle', 'idle'),
            ['in all', kwh(wall.millijoules, wall.unknowns), ...COSTS.map((name) => shortMoney(wall[name]))],
          ],
    words: [0],
  };
}

function groupTable({ groups, by, currency, total }: Report): Table {
  const row = (label: string, { pictures, energy, marginal, cash, full }: Figures) => [
    label,
    whole(pictures),
    shortEnergy(addedEnergy([energy.active, energy.overhead, energy.idle])),
    shortMoney(marginal),
    shortMoney(cash),
    shortMoney(full),
  ];
  return {
    title: `By ${by?.kind === 'tag' && by.name !== null ? `tag ${by.name}` : by?.kind}, in ${currency}`,
    head: ['', 'pictures', 'kWh', 'marginal', 'cash', 'full'],
    rows: [
      ...groups.flatMap(({ label, figures }) => [row(label, figures), ...figures.apart.map(apartRow)]),
      row('in all', total),
    ],
    words: [0],
  };
}

/** Below its group: a name and an amount would not have room for each other. */
function apartRow({ currency, nano }: Figures['apart'][number]): readonly string[] {
  return [`  and ${amountText(nano)} ${currency}`];
}

/** What no rate takes home, after a word; nothing where all is at home. */
function withoutText(apart: Figures['apart'], word: string): string {
  const amounts = apart.map(({ currency, nano }) => `${amountText(nano)} ${currency}`);
  return amounts.length === 0 ? '' : `${word} ${amounts.join(', ')}`;
}

const TIMES_ARE = { even: '', at_least: '>', at_most: '<' } as const;

function comparisonTable({ comparison, total, currency }: Report): Table {
  const ratios = comparison.some(({ times }) => times !== null);
  return {
    title: `${counted(total.pictures, 'such picture')} elsewhere, by list price`,
    head: ['', 'price', 'in all', ...(ratios ? ['of ours'] : []), 'as of'],
    rows: comparison.map((row) => [
      `${row.provider} ${row.model}`,
      `${row.from ? '>' : ''}${row.weak ? '~' : ''}${row.price} ${row.currency}${row.unit === 'megapixel' ? '/MP' : ''}`,
      `${row.from ? '>' : ''}${row.home === null ? `${amountText(row.nano)} ${row.currency}` : `${amountText(row.home)} ${currency}`}`,
      ...(ratios ? [row.times === null ? '' : `${TIMES_ARE[row.timesIs]}${significant(row.times)} x`] : []),
      row.date,
    ]),
    words: [0, ratios ? 4 : 3],
  };
}
