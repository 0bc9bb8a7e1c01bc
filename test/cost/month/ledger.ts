import type {
  BatchBooking,
  Chain,
  Entry,
  LedgerRow,
  Mark,
  MeterBooking,
  NewMark,
  Settlement,
  Store,
  Stretch,
} from '../../../src/ports.ts';
import { rowOfEntry, rowOfStretch } from '../../../src/store/memory-rows.ts';

/** The part of a store that the books need, in memory: marks and rows, in the order of their writing. */
export class Ledger {
  /** By card, in the order of their times. */
  readonly marks = new Map<string, Mark[]>();
  readonly rows: LedgerRow[] = [];
  /** Told of each transaction, before it: so that a real store can be given the same. */
  onWrite: (write: Pick<Settlement, 'entries' | 'meter'>) => void = () => {};
  readonly #ids = new Set<string>();
  readonly #numbers = new Map<string, number>();
  readonly #booked = new Map<string, number>();
  readonly #batches = new Map<string, BatchBooking>();
  /** Job ids that have a picture. */
  readonly #made = new Set<string>();

  /** As one process has it; after its death nothing that it still wants to write arrives. */
  open(): LedgerHandle {
    return new LedgerHandle(this);
  }

  meter(booking: MeterBooking): void {
    this.onWrite({ entries: [], meter: booking });
    this.#meter(booking);
  }

  settle(settlement: Settlement): void {
    this.onWrite(settlement);
    for (const entry of settlement.entries) this.#entry(entry);
    if (settlement.meter !== undefined) this.#meter(settlement.meter);
  }

  #meter({ marks, stretches }: MeterBooking): void {
    for (const mark of marks) this.#mark(mark);
    for (const stretch of stretches) this.#stretch(stretch);
  }

  chains(): Chain[] {
    return [...this.marks].map(([gpu, marks]) => {
      const until = this.#booked.get(gpu) ?? Number.NEGATIVE_INFINITY;
      const place = marks.findLastIndex(({ at }) => at <= until);
      return { gpu, booked: marks[place] ?? null, open: marks.slice(place + 1) };
    });
  }

  bookedOf(batchIds: readonly string[]): Map<string, BatchBooking> {
    return new Map(batchIds.flatMap((id) => (this.#batches.has(id) ? [[id, this.#ofBatch(id)] as const] : [])));
  }

  #mark(mark: NewMark): void {
    const marks = this.marks.get(mark.gpu) ?? [];
    this.marks.set(mark.gpu, marks);
    let place = marks.length;
    while (place > 0 && (marks[place - 1]?.at ?? 0) > mark.at) place -= 1;
    for (let same = place - 1; same >= 0 && marks[same]?.at === mark.at; same -= 1) {
      const one = marks[same];
      if (one?.launch === mark.launch && one.after === mark.after && one.batchId === mark.batchId) return;
    }
    const number = (this.#numbers.get(mark.gpu) ?? 0) + 1;
    this.#numbers.set(mark.gpu, number);
    marks.splice(place, 0, { ...mark, number });
  }

  #stretch(stretch: Stretch): void {
    if (this.#ids.has(stretch.id)) return;
    const { gpu, to, batchId, millijoules, corrects } = stretch;
    if (corrects === null) this.#booked.set(gpu, Math.max(to, this.#booked.get(gpu) ?? 0));
    this.#book(
      batchId,
      { millijoules, adopted: 0, entries: 0 },
      stretch.cause === 'lost' && corrects === null ? stretch : null,
    );
    this.#row(rowOfStretch(stretch, this.rows.length + 1));
  }

  #entry(entry: Entry): void {
    if (this.#ids.has(entry.id)) return;
    const { span, jobId, batchId } = entry;
    const isTwice = entry.kind === 'active' && this.#made.has(jobId ?? '');
    if (entry.kind === 'active') this.#made.add(jobId ?? '');
    const booked: Entry = isTwice ? { ...entry, kind: 'overhead', cause: 'redone' } : entry;
    const row = rowOfEntry({ ...booked, seq: this.rows.length + 1 });
    if (span?.gpu !== undefined && span.gpu !== null)
      this.#booked.set(span.gpu, Math.max(span.to, this.#booked.get(span.gpu) ?? 0));
    const adopted = row.gpu === null ? (row.energy_mj ?? 0) : 0;
    this.#book(batchId, { millijoules: row.energy_mj, adopted, entries: 1 }, null);
    this.#row(row);
  }

  #row(row: LedgerRow): void {
    this.#ids.add(row.id);
    this.rows.push(row);
  }

  #book(
    batchId: string | null,
    { millijoules, adopted, entries }: { millijoules: number | null; adopted: number; entries: number },
    lost: Stretch | null,
  ): void {
    if (batchId === null) return;
    const known = this.#ofBatch(batchId);
    this.#batches.set(batchId, {
      millijoules: known.millijoules + (millijoules ?? 0),
      adopted: known.adopted + adopted,
      entries: known.entries + entries,
      lost: lost !== null && (known.lost === null || (lost.millijoules ?? 0) > 0) ? lost : known.lost,
    });
  }

  #ofBatch(id: string): BatchBooking {
    return this.#batches.get(id) ?? { millijoules: 0, adopted: 0, entries: 0, lost: null };
  }
}

export class LedgerHandle implements Pick<Store, 'meter' | 'chains' | 'bookedOf' | 'settle'> {
  readonly #ledger: Ledger;
  #dead = false;
  readonly #deadCards = new Set<string>();

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** @param gpu what is left out: everything */
  die(gpu?: string): void {
    if (gpu === undefined) this.#dead = true;
    else this.#deadCards.add(gpu);
  }

  async meter(booking: MeterBooking): Promise<void> {
    const isAlive = ({ gpu }: { readonly gpu: string }) => !this.#deadCards.has(gpu);
    const { marks, stretches } = booking;
    if (!this.#dead) this.#ledger.meter({ marks: marks.filter(isAlive), stretches: stretches.filter(isAlive) });
  }

  async settle(settlement: Settlement): Promise<void> {
    if (!this.#dead) this.#ledger.settle(settlement);
  }

  async chains(): Promise<readonly Chain[]> {
    return this.#ledger.chains();
  }

  async bookedOf(batchIds: readonly string[]): Promise<ReadonlyMap<string, BatchBooking>> {
    return this.#ledger.bookedOf(batchIds);
  }
}
