import type { Booked } from '../cost/charge-known.ts';
import type { LedgerRow, LedgerSpan, Mark, Store } from '../ports.ts';

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
