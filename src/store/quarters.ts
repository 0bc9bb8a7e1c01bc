import { QUARTER_MS } from '../cost/local-days.ts';
import { StorageError } from '../errors.ts';
import type { LedgerKind, LedgerSpan } from '../ports.ts';

export const LEDGER_KINDS = [
  'active',
  'overhead',
  'idle',
  'foreign',
  'unknown',
  'charge',
  'credit',
  'correction',
] as const satisfies readonly LedgerKind[];

/** @throws StorageError where a span cuts a quarter of an hour, of which only the whole is known */
export function requireQuarters({ from, to }: LedgerSpan): void {
  const cut = [from, to].find((time) => Number.isFinite(time) && time % QUARTER_MS !== 0);
  if (cut === undefined) return;
  const message = `sums begin and end at quarters of an hour, and ${cut} is none; please report this`;
  throw new StorageError(message, { code: 'internal' });
}
