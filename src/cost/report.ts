import type { LedgerSpan, LedgerSum } from '../ports.ts';
import type { Method, Millijoules } from '../units.ts';
import { type Compared, comparisonOf, type Ours, oursOf } from './comparison.ts';
import type { Calendar } from './local-days.ts';
import { type Basis, basisOf } from './report-basis.ts';
import { addedEnergy, type EnergySource, sourcesOf } from './report-energy.ts';
import { type Beside, type Figures, figuresOf } from './report-figures.ts';
import { type Grouping, groupOf, tagsOf, tiles } from './report-groups.ts';
import { type Amount, Exchange, NOTHING, type Piece, type Rate, sumOf } from './report-money.ts';
import { type Standing, type StandingCosts, standingCosts } from './report-standing.ts';
import { type TrendStep, trendOf } from './report-trend.ts';
import type { WallSettings } from './wall.ts';

export interface ReportSettings {
  /** Home currency, which sums are in. */
  readonly currency: string;
  readonly rates: Readonly<Record<string, Rate>>;
  readonly standing: Standing;
  /** Null: nothing at the wall is told. */
  readonly wall: WallSettings | null;
  /** Grams of CO2 of an energy; null where nothing says what a kilowatt-hour has. */
  readonly grams: (millijoules: Millijoules) => Grams | null;
}

export interface ReportInput {
  /** Cut at quarters of an hour. */
  readonly span: LedgerSpan;
  readonly calendar: Calendar;
  /** By what `sumKeysOf` says. */
  readonly sums: readonly LedgerSum[];
  /** By quarter of an hour, for the trend. */
  readonly slots: readonly LedgerSum[];
  readonly by: Grouping | null;
  /** Only what carries all of these, where there are any. */
  readonly tags: Readonly<Record<string, string>>;
  /** What people call a group, where that is not its name. */
  readonly labels: ReadonlyMap<string, string>;
  readonly settings: ReportSettings;
}

/** All that is to be said of a time, computed once: terminal, JSON, CSV and HTML only present it. */
export interface Report {
  readonly span: LedgerSpan;
  readonly timezone: string;
  /** By the same clock, to the minute, where it does not begin and end with a day; null where it does. */
  readonly minutes: { readonly from: string; readonly to: string } | null;
  /** The first local day and the last one that it reaches into. */
  readonly days: { readonly first: string; readonly last: string };
  readonly currency: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly by: Grouping | null;
  /** Rows of the ledger; 0: there is nothing to tell. */
  readonly entries: number;
  readonly total: Figures;
  readonly sources: readonly EnergySource[];
  /** Without `by`: none. Their sums are the total's. */
  readonly groups: readonly Group[];
  readonly trend: readonly TrendStep[];
  readonly conversions: readonly Conversion[];
  readonly comparison: readonly Compared[];
  /** What prices elsewhere are compared with; null with tags, since idle, fixed charges and hardware carry none. */
  readonly ours: Ours | null;
  readonly carbon: Carbon | null;
  readonly basis: Basis;
}

export interface Group {
  /** Null: what belongs to no such thing, as idle to no model. */
  readonly name: string | null;
  /** For people: of a run its name. */
  readonly label: string;
  readonly figures: Figures;
}

export interface Conversion extends Rate, Amount {
  /** What became of it at home. */
  readonly home: bigint;
}

export interface Grams {
  readonly grams: number;
  readonly method: Method;
  readonly source: string;
  /** That its table is of; null for a number of the user's. */
  readonly year: number | null;
}

/** Of pictures, overhead and idle; an estimate. */
export interface Carbon extends Grams {
  /** Whether it is of the energy at the wall, or of the cards' alone. */
  readonly atWall: boolean;
  /** Rows of unknown energy; with any, read the grams as "at least". */
  readonly unknowns: number;
  readonly perPicture: number | null;
}

export function reportOf(input: ReportInput): Report {
  const { span, calendar, settings, by, tags } = input;
  const exchange = new Exchange(settings.currency, settings.rates);
  const pieces = chosen(input.sums, tags).map((sum) => exchange.pieceOf(sum));
  const cards = new Set(input.sums.flatMap(({ gpu }) => (gpu === null ? [] : [gpu]))).size;
  const standing = standingOf(input, exchange);
  const figures = (rows: readonly Piece[], beside: Beside) => figuresOf(rows, beside, { wall: settings.wall, cards });
  const labelled = ({ name, pieces: rows, beside }: Gathered): Group => {
    const label = name === null ? `(no ${by?.kind})` : (input.labels.get(name) ?? name);
    return { name, label, figures: figures(rows, beside) };
  };
  const total = figures(pieces, wholeOf(standing, span));
  const ours = Object.keys(tags).length > 0 ? null : oursOf(total);
  return {
    span,
    timezone: calendar.timezone,
    minutes: minutesOf(span, calendar),
    days: { first: calendar.dayOf(span.from), last: calendar.dayOf(span.to - 1) },
    currency: settings.currency,
    tags,
    by,
    entries: sumOf(pieces.map(({ entries }) => entries)),
    total,
    sources: sourcesOf(pieces),
    groups: by === null ? [] : groupsOf(pieces, standing, { ...input, by }).map(labelled),
    trend: trendOf(input.slots === input.sums ? pieces : slotPieces(input), span, calendar, total.energy),
    conversions: conversionsOf(pieces, standing.abroad, exchange),
    comparison: total.pictures === 0 ? [] : comparisonOf(total.pictures, ours, (c) => exchange.rateOf(c)),
    ours,
    carbon: carbonOf(total, settings),
    basis: basisOf(pieces),
  };
}

function minutesOf({ from, to }: LedgerSpan, calendar: Calendar): Report['minutes'] {
  const whole = [from, to].every((at) => calendar.startOf(calendar.dayOf(at)) === at);
  return whole ? null : { from: calendar.minuteOf(from), to: calendar.minuteOf(to) };
}

function slotPieces({ slots, tags, settings }: ReportInput): readonly Piece[] {
  const exchange = new Exchange(settings.currency, settings.rates);
  return chosen(slots, tags).map((sum) => exchange.pieceOf(sum));
}

function chosen(sums: readonly LedgerSum[], tags: ReportInput['tags']): readonly LedgerSum[] {
  const wanted = Object.entries(tags);
  if (wanted.length === 0) return sums;
  return sums.filter((sum) => {
    const said = tagsOf(sum);
    return wanted.every(([name, value]) => said[name] === value);
  });
}

/** What costs money by the month carries no tag. */
function standingOf({ span, calendar, settings, tags }: ReportInput, exchange: Exchange): StandingCosts {
  const apart = () => ({ fixed: [], amortisation: [] });
  const none = { fixed: () => NOTHING, amortisation: () => NOTHING, apart, abroad: [] };
  return Object.keys(tags).length > 0 ? none : standingCosts(settings.standing, span, calendar, exchange);
}

function wholeOf(standing: StandingCosts, part: LedgerSpan): Beside {
  const { fixed, amortisation } = standing.apart(part);
  return {
    fixed: standing.fixed(part),
    amortisation: standing.amortisation(part),
    apart: [...fixed, ...amortisation],
  };
}

interface Gathered {
  readonly name: string | null;
  readonly pieces: readonly Piece[];
  readonly beside: Beside;
}

/** By time in its order, with empty hours and days where something stands; else by full cost, the most first. */
function groupsOf(
  pieces: readonly Piece[],
  standing: StandingCosts,
  { by, span, calendar }: ReportInput & { readonly by: Grouping },
): readonly Gathered[] {
  const grouping = { kind: by.kind, name: by.kind === 'tag' ? by.name : null };
  const rows = Map.groupBy(pieces, (piece) => groupOf(grouping, piece, calendar));
  if (by.kind === 'day' || by.kind === 'hour') {
    return tiles(by.kind, span, calendar).flatMap(({ name, ...part }) => {
      const beside = wholeOf(standing, part);
      const found = rows.get(name) ?? [];
      const stands = beside.fixed.entries + beside.amortisation.entries > 0;
      return found.length === 0 && by.kind === 'hour' && !stands ? [] : [{ name, pieces: found, beside }];
    });
  }
  const owners = by.kind === 'service' ? { fixed: 'electricity', machine: 'hardware' } : { fixed: null, machine: null };
  const [fixed, amortisation] = [standing.fixed(span), standing.amortisation(span)];
  const apart = standing.apart(span);
  const names = new Set<string | null>(rows.keys());
  if (fixed.entries > 0) names.add(owners.fixed);
  if (amortisation.entries > 0) names.add(owners.machine);
  const gathered = [...names].map((name): Gathered => {
    const beside = {
      fixed: name === owners.fixed ? fixed : NOTHING,
      amortisation: name === owners.machine ? amortisation : NOTHING,
      apart: [...(name === owners.fixed ? apart.fixed : []), ...(name === owners.machine ? apart.amortisation : [])],
    };
    return { name, pieces: rows.get(name) ?? [], beside };
  });
  return gathered.sort(
    (a, b) => Number(costOf(b) - costOf(a) > 0n) - Number(costOf(b) - costOf(a) < 0n) || order(a, b),
  );
}

function costOf({ pieces, beside }: Gathered): bigint {
  const ours = pieces.filter(({ kind }) => kind !== 'foreign' && kind !== 'unknown');
  return ours.reduce(
    (sum, { home }) => sum + (home ?? 0n),
    (beside.fixed.nano ?? 0n) + (beside.amortisation.nano ?? 0n),
  );
}

function order(a: Gathered, b: Gathered): number {
  return (a.name ?? '￿') < (b.name ?? '￿') ? -1 : 1;
}

function conversionsOf(
  pieces: readonly Piece[],
  standing: StandingCosts['abroad'],
  exchange: Exchange,
): readonly Conversion[] {
  const ours = pieces.filter(({ kind }) => kind !== 'foreign' && kind !== 'unknown');
  const abroad = Map.groupBy([...ours, ...standing], ({ currency }) => currency);
  return [...abroad].sort().flatMap(([currency, rows]) => {
    const rate = exchange.said(currency);
    if (rate === undefined || currency === exchange.home) return [];
    const nano = rows.reduce((sum, row) => sum + (row.nano ?? 0n), 0n);
    return [{ ...rate, currency, nano, home: rows.reduce((sum, row) => sum + (row.home ?? 0n), 0n) }];
  });
}

function carbonOf({ energy, wall, pictures }: Figures, { grams }: ReportSettings): Carbon | null {
  const { millijoules, unknowns, entries } = addedEnergy([energy.active, energy.overhead, energy.idle]);
  if (millijoules === null || entries === 0) return null;
  const atWall = typeof wall?.millijoules === 'number';
  const found = grams(wall?.millijoules ?? millijoules);
  return found && { ...found, atWall, unknowns, perPicture: pictures === 0 ? null : found.grams / pictures };
}
