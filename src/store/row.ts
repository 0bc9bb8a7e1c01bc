/** Reads columns with their types, so that a row of an unexpected shape is an error and not a wrong value. */
import type { SQLOutputValue } from 'node:sqlite';
import { StorageError } from '../errors.ts';

export type Row = Record<string, SQLOutputValue>;

export function textOf(row: Row, column: string): string {
  const value = row[column];
  if (typeof value === 'string') return value;
  throw unexpected(column, value);
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column);
}

export function numberOf(row: Row, column: string): number {
  const value = row[column];
  if (typeof value === 'number') return value;
  throw unexpected(column, value);
}

export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : numberOf(row, column);
}

export function integerOf(row: Row, column: string): number {
  const value = numberOf(row, column);
  if (Number.isSafeInteger(value)) return value;
  throw unexpected(column, value);
}

export function oneOf<Name extends string>(row: Row, column: string, names: readonly Name[]): Name {
  const value = textOf(row, column);
  const name = names.find((candidate) => candidate === value);
  if (name !== undefined) return name;
  throw unexpected(column, value);
}

export function stringsOf(row: Row, column: string): readonly string[] {
  const value: unknown = JSON.parse(textOf(row, column));
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw unexpected(column, String(value));
}

export function recordOf<Value extends string | number>(
  row: Row,
  column: string,
  type: Value extends string ? 'string' : 'number',
): Readonly<Record<string, Value>> {
  const value: unknown = JSON.parse(textOf(row, column));
  const holds = (candidate: unknown): candidate is Record<string, Value> =>
    typeof candidate === 'object' &&
    candidate !== null &&
    !Array.isArray(candidate) &&
    Object.values(candidate).every((each) => typeof each === type);
  if (holds(value)) return value;
  throw unexpected(column, String(value));
}

function unexpected(column: string, value: unknown): StorageError {
  return new StorageError(`column ${column} of the database holds ${String(value)}; please report this`, {
    code: 'store_broken',
  });
}
