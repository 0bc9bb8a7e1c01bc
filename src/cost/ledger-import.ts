import { createHash } from 'node:crypto';
import { CsvError, parse } from 'csv-parse/sync';
import { InputError } from '../errors.ts';
import type { Charge } from '../ports.ts';
import { type EpochMillis, METHODS, nanoOf } from '../units.ts';
import { chargeOf } from './charge.ts';
import { doubtOf, type NewCharge } from './charge-known.ts';
import { decimalText } from './decimal.ts';
import { LEDGER_COLUMNS } from './ledger-text.ts';

export interface ImportOptions {
  /** Of the file, for what is told of its lines. */
  readonly path: string;
  /** Where a line names none. */
  readonly currency: string;
  /** @throws InputError where it is no time */
  timeOf(text: string, place: string): EpochMillis;
}

export interface Imported {
  readonly charges: readonly NewCharge[];
  /** Lines of energy, as an export of the whole ledger has: they are of the cards that burnt it, and are not booked again. */
  readonly energy: number;
}

/**
 * Charges of a CSV file with a header, or of a file of JSON lines. A line without an id gets one of its cells as they are
 * written and how often the file has said them before: a file that is read twice is booked once, also where the default
 * currency or the time zone has changed between.
 * @throws InputError `bad_csv`, `bad_json`, `bad_charge`, `bad_number`, at the first line that cannot be booked
 */
export function readCharges(text: string, options: ImportOptions): Imported {
  const lines = /^\s*\{/.test(text) ? jsonLines(text, options.path) : csvLines(text, options.path);
  const charged = lines.filter(({ cells }) => !ENERGY.has(cells.kind ?? ''));
  const seen = new Map<string, number>();
  const charges = charged.map(({ cells, place }): NewCharge => {
    const charge = lineOf(cells, place, options);
    const idSaid = charge.id !== '';
    return {
      charge: idSaid ? charge : { ...charge, id: digestOf(cells, seen) },
      currencySaid: (cells.currency ?? '') !== '',
      idSaid,
      timeWithin: doubtOf(cells.at),
      places: { corrects: place, id: place },
    };
  });
  return { charges, energy: lines.length - charged.length };
}

/** @param seen how often each line was there so far; this one is added */
function digestOf(cells: Cells, seen: Map<string, number>): string {
  const written = Object.entries(cells).filter(([, cell]) => cell !== '');
  const content = JSON.stringify(written.sort(([a], [b]) => (a < b ? -1 : 1)));
  const occurrence = seen.get(content) ?? 0;
  seen.set(content, occurrence + 1);
  return createHash('sha256').update(`${content} ${occurrence}`).digest('hex').slice(0, 32);
}

type Cells = Readonly<Record<string, string>>;

interface Line {
  readonly cells: Cells;
  readonly place: string;
}

const ENERGY = new Set(['active', 'overhead', 'idle', 'foreign', 'unknown']);
const KINDS = ['charge', 'credit', 'correction'] as const;
const METERS = ['provider_usage', 'list_price', 'invoice'] as const;
/** Other names that a column may have. */
const ALIASES: Readonly<Record<string, string>> = {
  timestamp: 'at',
  date: 'at',
  type: 'resource_type',
  method: 'cost_method',
};
const KNOWN = new Set<string>([...LEDGER_COLUMNS, 'note']);

function lineOf(cells: Cells, place: string, { currency, timeOf }: ImportOptions): Charge {
  const required = (name: string): string => {
    const value = cells[name];
    if (value !== undefined && value !== '') return value;
    throw refused(`has no ${name}`, place);
  };
  const charge = chargeOf(
    {
      id: cells.id ?? '',
      at: timeOf(required('at'), `${place}, at`),
      kind: oneOf(KINDS, cells.kind || 'charge', 'kind', place),
      service: required('service'),
      resourceType: required('resource_type'),
      quantity: required('quantity'),
      unitCost: required('unit_cost'),
      currency: cells.currency || currency,
      tags: tagsOf(cells.tags ?? '', place),
      note: cells.note,
      corrects: cells.corrects || null,
      method: oneOf(METHODS, cells.cost_method || 'measured', 'cost_method', place),
      meter: oneOf(METERS, cells.meter || 'invoice', 'meter', place),
    },
    place,
  );
  const total = cells.total_cost;
  if (total !== undefined && total !== '' && nanoOf(Number(total)) !== nanoOf(charge.amount)) {
    const says = decimalText(nanoOf(charge.amount));
    throw refused(
      `has a total_cost of ${total}, and its quantity x unit_cost is ${says}; leave total_cost out, or mend it`,
      place,
    );
  }
  return charge;
}

function oneOf<Name extends string>(names: readonly Name[], text: string, column: string, place: string): Name {
  const found = names.find((name) => name === text);
  if (found !== undefined && found !== 'unknown') return found;
  throw refused(
    `has the ${column} "${text}"; expected one of ${names.filter((name) => name !== 'unknown').join(', ')}`,
    place,
  );
}

/** As JSON, or as `client=acme; project=kiln`. */
function tagsOf(text: string, place: string): Readonly<Record<string, string>> {
  if (text === '') return {};
  if (text.startsWith('{')) {
    const tags = parsed(text, place);
    if (Object.values(tags).every((value) => typeof value === 'string')) return tags as Record<string, string>;
    throw refused('has tags that are no texts', place);
  }
  const pairs = text.split(';').map((part) => /^\s*([^=]+?)\s*=\s*(.*?)\s*$/.exec(part));
  if (pairs.some((pair) => pair === null))
    throw refused(`has the tags "${text}"; expected client=acme; project=kiln`, place);
  return Object.fromEntries(pairs.map((pair) => [pair?.[1] ?? '', pair?.[2] ?? '']));
}

function csvLines(text: string, path: string): readonly Line[] {
  const lines: Line[] = [];
  let columns: readonly string[] | null = null;
  let next = 1;
  const add = (cells: string[], { lines: read }: { readonly lines: number }): null => {
    const place = `${path}:${next}`;
    next = read + 1;
    if (cells.every((cell) => cell.trim() === '')) return null;
    if (columns === null) columns = cells.map((name) => columnOf(name, place));
    else lines.push({ cells: cellsOf(columns, cells, place), place });
    return null;
  };
  try {
    parse(text, { bom: true, relax_column_count: true, delimiter: delimiterOf(text), on_record: add });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const what = `cannot be read as CSV (${error.message.replace(/\.?$/, '')}); double the quotes inside quotes`;
    throw new InputError(what, { code: 'bad_csv', place: `${path}:${next}`, cause: error });
  }
  return lines;
}

function delimiterOf(text: string): string {
  const [header = ''] = text.trimStart().split('\n', 1);
  return header.includes(';') && !header.includes(',')
    ? ';'
    : header.includes('\t') && !header.includes(',')
      ? '\t'
      : ',';
}

function columnOf(name: string, place: string): string {
  const plain = name.trim().toLowerCase().replaceAll(' ', '_');
  const column = ALIASES[plain] ?? plain;
  if (KNOWN.has(column)) return column;
  const expected = 'at, service, resource_type, quantity, unit_cost, currency, kind, tags, note, corrects, id';
  throw refused(`has the column "${name}"; those of a charge are ${expected}`, place);
}

function cellsOf(columns: readonly string[], cells: readonly string[], place: string): Cells {
  if (cells.length > columns.length)
    throw refused(
      `has ${cells.length} cells where the header has ${columns.length}; a text with the delimiter in it needs quotes`,
      place,
    );
  return Object.fromEntries(columns.map((name, at) => [name, (cells[at] ?? '').trim()]));
}

function jsonLines(text: string, path: string): readonly Line[] {
  return text.split('\n').flatMap((line, at): Line[] => {
    const place = `${path}:${at + 1}`;
    if (line.trim() === '') return [];
    const fields = Object.entries(parsed(line, place)).map(([name, value]) => [columnOf(name, place), cellText(value)]);
    return [{ cells: Object.fromEntries(fields) as Cells, place }];
  });
}

function parsed(text: string, place: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, as it is for what is no object.
  }
  throw new InputError('is no JSON object', { code: 'bad_json', place });
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'object') return JSON.stringify(value);
  if (typeof value !== 'number' || !/e/.test(String(value))) return String(value);
  return value.toFixed(20).replace(/\.?0+$/, '');
}

function refused(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_charge', place });
}
