import { CsvError, parse } from 'csv-parse/sync';
import { InputError } from '../errors.ts';
import type { Draft } from './draft.ts';
import { isFieldName, readFields, unknownField } from './fields.ts';

/**
 * Reads a CSV file whose header names request fields, by our names or A1111's. The delimiter is the one
 * of `,` `;` and tab that the header has most of; an empty cell says nothing.
 * @throws InputError `bad_csv`, `bad_field`
 */
export function readCsv(text: string, path: string): Draft[] {
  const [header, ...rows] = recordsOf(text, path);
  if (header === undefined) return [];
  const columns = columnsOf(header);
  return rows.flatMap((row) => {
    const cells = row.cells.map((cell) => cell.trim());
    if (cells.every((cell) => cell === '')) return [];
    refuseTooMany(cells, columns, row.place);
    const said = columns.flatMap((name, at) => {
      const value = cells[at] ?? '';
      return value === '' ? [] : [{ name, label: `the column ${name}`, value }];
    });
    const fields = readFields(said, { place: row.place, code: 'bad_field' });
    return [{ ...fields, prompt: fields.prompt ?? '', place: row.place }];
  });
}

interface Row {
  readonly cells: readonly string[];
  readonly place: string;
}

function recordsOf(text: string, path: string): Row[] {
  const rows: Row[] = [];
  let line = 1;
  const add = (cells: string[], { lines }: { readonly lines: number }): null => {
    if (cells.length > 1 || cells[0] !== '') rows.push({ cells, place: `${path}:${line}` });
    line = lines + 1;
    return null;
  };
  try {
    parse(text, { delimiter: delimiterOf(text), relax_column_count: true, on_record: add });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const what = `cannot be read as CSV (${error.message.replace(/\.?$/, '')}); double the quotes inside quotes`;
    throw new InputError(what, { code: 'bad_csv', place: `${path}:${line}`, cause: error });
  }
  return rows;
}

/** The one that the first line has most of, quoted text apart. */
function delimiterOf(text: string): string {
  const header = (/^\s*(.*)$/m.exec(text)?.[1] ?? '').replaceAll(/"[^"]*"/g, '');
  const count = (delimiter: string): number => header.split(delimiter).length;
  return [',', ';', '\t'].reduce((best, next) => (count(next) > count(best) ? next : best));
}

function columnsOf({ cells, place }: Row): string[] {
  const columns = cells.map((cell) => cell.trim());
  for (const name of columns) {
    if (isFieldName(name)) continue;
    if (name === '') throw new InputError('has a column without a name', { code: 'bad_field', place });
    throw unknownField(`the column "${name}"`, name, { place, code: 'bad_field' });
  }
  if (!columns.some((name) => /^prompt$/i.test(name))) {
    throw new InputError('has no column "prompt"', { code: 'bad_field', place });
  }
  return columns;
}

function refuseTooMany(cells: readonly string[], columns: readonly string[], place: string): void {
  if (cells.slice(columns.length).every((cell) => cell === '')) return;
  const what = `has ${cells.length} cells where the header has ${columns.length}; a text with the delimiter in it needs quotes`;
  throw new InputError(what, { code: 'bad_csv', place });
}
