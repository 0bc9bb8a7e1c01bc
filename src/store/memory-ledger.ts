import type {
  BatchBooking,
  Chain,
  Charge,
  Entry,
  LedgerRow,
  LedgerSpan,
  LedgerSum,
  Mark,
  MeterBooking,
  NewMark,
  PriceSnapshot,
  Stretch,
  SumKey,
} from '../ports.ts';
import { endOf, rowOfCharge, rowOfEntry, rowOfStretch } from './memory-rows.ts';
import { sumsOf } from './memory-sums.ts';
import { requireQuarters } from './quarters.ts';

export type KeptEntry = Entry & { readonly seq: number };

/** The ledger of {@link MemoryStore}: lists that are only added to. What is asked of it is looked up in all of them. */
export class MemoryLedger {
  readonly #take: () => number;
  readonly #entries = new Map<string, KeptEntry>();
  /** Of each job the entries of its pictures, oldest first; the first one is active. */
  readonly #madeByJob = new Map<string, readonly KeptEntry[]>();
  /** By card, in the order of their numbers. */
  readonly #marks = new Map<string, Mark[]>();
  readonly #marked = new Set<string>();
  readonly #stretches = new Map<string, Stretch>();
  readonly #charges = new Set<string>();
  readonly #prices = new Map<string, PriceSnapshot>();
  readonly #rows: LedgerRow[] = [];

  /** @param take the number of the next change */
  constructor(take: () => number) {
    this.#take = take;
  }

  /** Adds the entry unless it is there; the second picture of a job is booked as `redone`. */
  book(entry: Entry, tagsOfRun: Entry['tags']): void {
    if (this.#entries.has(entry.id)) return;
    const made = entry.jobId === null ? [] : this.madeFor(entry.jobId);
    const redone = entry.kind === 'active' && made.length > 0;
    const booked: Entry = redone ? { ...entry, kind: 'overhead', cause: 'redone' } : entry;
    const kept = { ...booked, tags: { ...tagsOfRun, ...entry.tags }, seq: this.#take() };
    this.#entries.set(entry.id, kept);
    this.#rows.push(rowOfEntry(kept));
    if (entry.kind === 'active' && entry.jobId !== null) this.#madeByJob.set(entry.jobId, [...made, kept]);
  }

  entriesOf(runId: string): readonly KeptEntry[] {
    return [...this.#entries.values()].filter((entry) => entry.runId === runId);
  }

  /** Entries of the pictures of a job, oldest first. */
  madeFor(jobId: string): readonly KeptEntry[] {
    return this.#madeByJob.get(jobId) ?? [];
  }

  meter({ marks, stretches }: MeterBooking): void {
    for (const mark of marks) this.#mark(mark);
    for (const stretch of stretches) {
      if (this.#stretches.has(stretch.id)) continue;
      this.#stretches.set(stretch.id, stretch);
      this.#rows.push(rowOfStretch(stretch, this.#take()));
    }
  }

  chains(): readonly Chain[] {
    return [...this.#marks.keys()].sort().map((gpu) => {
      const marks = this.#marksOf(gpu);
      const end = this.#rows.reduce((last, row) => (row.gpu === gpu ? Math.max(last, row.to_at ?? -1) : last), -1);
      const place = marks.findLastIndex(({ at }) => at <= end);
      return { gpu, booked: marks[place] ?? null, open: marks.slice(place + 1) };
    });
  }

  bookedOf(batchIds: readonly string[]): ReadonlyMap<string, BatchBooking> {
    const found = new Map<string, BatchBooking>();
    for (const id of batchIds) {
      const rows = this.#rows.filter((row) => row.batch_id === id);
      if (rows.length === 0) continue;
      const entries = rows.filter((row) => this.#entries.has(row.id));
      const sumOf = (some: typeof rows) => some.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0);
      const [millijoules, adopted] = [sumOf(rows), sumOf(entries.filter(({ gpu }) => gpu === null))];
      const some = [...this.#stretches.values()]
        .filter(({ batchId, cause, corrects }) => batchId === id && cause === 'lost' && corrects === null)
        .sort((a, b) => a.to - b.to);
      const lost = some.findLast(({ millijoules }) => (millijoules ?? 0) > 0) ?? some.at(-1);
      found.set(id, { millijoules, adopted, entries: entries.length, lost: lost ?? null });
    }
    return found;
  }

  marksOf(gpu: string, { from, to }: LedgerSpan, after: Mark | null, limit: number): readonly Mark[] {
    const marks = this.#marksOf(gpu).filter(({ at }) => at >= from && at < to);
    return marks.filter((mark) => after === null || inOrder(after, mark) < 0).slice(0, limit);
  }

  /** False where it was there already. */
  charge(charge: Charge): boolean {
    if (this.#charges.has(charge.id)) return false;
    this.#charges.add(charge.id);
    this.#rows.push(rowOfCharge(charge, this.#take()));
    return true;
  }

  keepPrice(snapshot: PriceSnapshot): void {
    if (!this.#prices.has(snapshot.id)) this.#prices.set(snapshot.id, snapshot);
  }

  price(id: string): PriceSnapshot | undefined {
    return this.#prices.get(id);
  }

  sums(span: LedgerSpan, by: readonly SumKey[]): readonly LedgerSum[] {
    requireQuarters(span);
    return sumsOf(this.#rowsIn(span), by);
  }

  page(span: LedgerSpan, after: number, limit: number): readonly LedgerRow[] {
    return this.#rowsIn(span)
      .filter((row) => row.seq > after)
      .slice(0, limit);
  }

  row(id: string): LedgerRow | undefined {
    return this.#rows.find((row) => row.id === id);
  }

  last(limit: number, of: 'all' | 'charges'): readonly LedgerRow[] {
    const rows = this.#rows.filter(({ id }) => of === 'all' || this.#charges.has(id));
    return rows.slice(Math.max(0, rows.length - limit));
  }

  #mark(mark: NewMark): void {
    const { gpu, at, launch, after, batchId } = mark;
    const identity = JSON.stringify([gpu, at, launch, after, batchId]);
    if (this.#marked.has(identity)) return;
    this.#marked.add(identity);
    const marks = this.#marks.get(gpu) ?? [];
    this.#marks.set(gpu, marks);
    marks.push({ ...mark, number: marks.length + 1 });
  }

  #marksOf(gpu: string): readonly Mark[] {
    return (this.#marks.get(gpu) ?? []).toSorted(inOrder);
  }

  #rowsIn({ from, to }: LedgerSpan): readonly LedgerRow[] {
    return this.#rows.filter((row) => endOf(row) >= from && endOf(row) < to);
  }
}

function inOrder(one: Mark, other: Mark): number {
  return one.at - other.at || one.number - other.number;
}
