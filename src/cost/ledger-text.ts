import type { LedgerRow } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { nanoOf } from '../units.ts';
import { decimalText } from './decimal.ts';

/** Every column of a row, in the order of an export. */
export const LEDGER_COLUMNS = [
  'id',
  'seq',
  'at',
  'kind',
  'cause',
  'service',
  'resource_type',
  'quantity',
  'unit_cost',
  'total_cost',
  'currency',
  'cost_method',
  'energy_mj',
  'bound_mj',
  'energy_method',
  'meter',
  'flags',
  'price',
  'run_id',
  'job_id',
  'batch_id',
  'gpu',
  'from_at',
  'to_at',
  'device',
  'model',
  'preset',
  'seconds',
  'tags',
  'corrects',
] as const satisfies readonly (keyof LedgerRow)[];

const TIMES = new Set<string>(['at', 'from_at', 'to_at']);
const AMOUNTS = new Set<string>(['unit_cost', 'total_cost']);

/** A line without its end: times in ISO 8601, flags apart by spaces, tags as JSON; what is unknown is empty. */
export function rowCsv(row: LedgerRow): string {
  return csvLine(LEDGER_COLUMNS.map((name) => cellOf(name, row[name])));
}

/** The same, with times as in CSV, and nothing else as text that is none. */
export function rowJson(row: LedgerRow): string {
  const fields = LEDGER_COLUMNS.map((name) => [name, TIMES.has(name) ? isoOf(row[name]) : row[name]]);
  return JSON.stringify(Object.fromEntries(fields));
}

export function csvLine(cells: readonly string[]): string {
  return cells.map((cell) => (/[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',');
}

function cellOf(name: string, value: LedgerRow[keyof LedgerRow]): string {
  if (value === null) return '';
  if (TIMES.has(name)) return isoOf(value) ?? '';
  if (Array.isArray(value)) return value.join(' ');
  if (typeof value === 'number') return AMOUNTS.has(name) ? decimalText(nanoOf(value)) : plain(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function isoOf(at: unknown): string | null {
  return typeof at === 'number' ? new Date(at as EpochMillis).toISOString() : null;
}

/** Never with an exponent. */
export function plain(value: number): string {
  const text = String(value);
  return /e/.test(text) ? value.toFixed(20).replace(/\.?0+$/, '') : text;
}
