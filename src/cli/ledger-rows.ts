import type { Booked } from '../cost/charge-known.ts';
import type { Charge, LedgerRow, LedgerSpan, Mark, Store } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { counted } from './figures.ts';

/** Rows that are read at once. */
const PAGE = 1000;

/** All rows whose time ended in a span, in the order of their writing, a page at a time. */
export async function* rowsOf(store: Pick<Store, 'ledger'>, span: LedgerSpan): AsyncGenerator<LedgerRow> {
  let after = 0;
  for (;;) {
    const rows = await store.ledger(span, after, PAGE);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < PAGE) return;
    after = last.seq;
  }
}

/** Reports end now: what is dated later is in none yet. */
export function futureNote(charges: readonly Pick<Charge, 'at'>[], now: EpochMillis): readonly string[] {
  const later = charges.filter(({ at }) => at > now).length;
  if (later === 0) return [];
  const which = charges.length === 1 ? 'It is' : `${counted(later, 'charge')} of these ${later === 1 ? 'is' : 'are'}`;
  return [`${which} dated later than now: reports have what is dated by the day that they are made, and no more.`];
}

/** What new charges are checked against. */
export function bookedIn(store: Pick<Store, 'ledgerRow' | 'lastRows'>): Booked {
  return {
    row: (id) => store.ledgerRow(id),
    charges: () => store.lastRows(1_000_000_000, 'charges'),
  };
}

/** All marks of a card in a span, in the order of their times. */
export async function* marksOf(store: Pick<Store, 'marksOf'>, gpu: string, span: LedgerSpan): AsyncGenerator<Mark> {
  let after: Mark | null = null;
  for (;;) {
    const marks: readonly Mark[] = await store.marksOf(gpu, span, after, PAGE);
    yield* marks;
    after = marks.at(-1) ?? null;
    if (after === null || marks.length < PAGE) return;
  }
}
