import pc from 'picocolors';
import type { Report } from '../cost/report.ts';
import { addedEnergy } from '../cost/report-energy.ts';
import { counted } from './figures.ts';
import { plotOf } from './report-plot.ts';
import { type Table, tablesOf } from './report-tables.ts';
import { joulesText } from './report-words.ts';
import { wrapped } from './table.ts';

export interface TerminalOptions {
  readonly width: number;
  readonly color: boolean;
  /** Else plain ASCII. */
  readonly utf8: boolean;
  readonly notes: readonly string[];
}

/** Lines no wider than asked for, where that is 80 or more, and mostly so down to 60: names give way first. */
export function terminalLines(report: Report, { width, color, utf8, notes }: TerminalOptions): readonly string[] {
  const paint = pc.createColors(color);
  return [
    paint.bold(headingOf(report)),
    picturesLine(report),
    ...tablesOf(report).flatMap((table) => ['', paint.bold(table.title), ...tableLines(table, width, paint.dim)]),
    ...spaced(plotOf(report.trend, utf8)),
    ...spaced(notes.flatMap((note) => wrapped(note, width))),
  ];
}

export function headingOf({ days, minutes, timezone, tags }: Report): string {
  const said = Object.entries(tags).map(([name, value]) => `, ${name}=${value}`);
  const { from, to } = minutes ?? { from: days.first, to: days.last };
  return `${from} to ${to} (${timezone})${said.join('')}`;
}

export function picturesLine({ total: { pictures, perPicture, energy } }: Report): string {
  const each = perPicture?.millijoules ?? null;
  const ours = addedEnergy([energy.active, energy.overhead]);
  const least = ours.unknowns > 0 ? 'at least ' : '';
  const joules = each === null ? '' : `, ${least}${joulesText(each, ours.method)} each with overhead`;
  return `${counted(pictures, 'picture')}${joules}`;
}

function spaced(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', ...lines];
}

const NARROWEST_LABEL = 10;
/** Of words at the end of a line, which may go on below: a date. */
const LEAST_WORDS = 10;

/** Figures end at one line, words begin at one; the first column gives way, and then what does not fit goes on below. */
function tableLines({ head, rows, words }: Table, width: number, dim: (text: string) => string): readonly string[] {
  const all = [head, ...rows];
  const widths = head.map((_, at) => Math.max(...all.map((row) => (row[at] ?? '').length)));
  const last = head.length - 1;
  const flows = words.includes(last) && last > 0;
  const fixed = widths.slice(1, flows ? last : undefined).reduce((sum, one) => sum + one + 2, 0);
  const kept = flows ? Math.min(widths[last] ?? 0, LEAST_WORDS) + 2 : 0;
  const label = Math.min(widths[0] ?? 0, Math.max(NARROWEST_LABEL, width - fixed - kept));
  const cell = (text: string, at: number) => {
    if (at === 0) return clip(text, label).padEnd(label);
    return words.includes(at) ? text.padEnd(widths[at] ?? 0) : text.padStart(widths[at] ?? 0);
  };
  return all.flatMap((row, number) => {
    const line = row
      .slice(0, flows ? last : undefined)
      .map(cell)
      .join('  ');
    const [first = '', ...more] = flows ? wrapped(row[last] ?? '', Math.max(20, width - line.length - 2)) : [];
    const lines = [`${line}  ${first}`.trimEnd(), ...more.map((text) => `${' '.repeat(line.length)}  ${text}`)];
    return number === 0 ? lines.map(dim) : lines;
  });
}

function clip(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 2)}..`;
}

/** For whoever has nothing to see yet. */
export function emptyLine({ days, minutes, tags }: Report): string {
  const { from, to } = minutes ?? { from: days.first, to: days.last };
  const said = Object.entries(tags).map(([name, value]) => `${name}=${value}`);
  const what = said.length === 0 ? 'nothing' : `nothing tagged ${said.join(', ')}`;
  const how = said.length === 0 ? ': pictures, idle time and charges are booked as they come' : '';
  return `The ledger has ${what} from ${from} to ${to}${how}.`;
}
