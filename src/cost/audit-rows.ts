import type { LedgerRow } from '../ports.ts';
import type { EpochMillis, Millijoules } from '../units.ts';
import { type HourKind, Hours, hourOf } from './audit-hours.ts';

/** What the ledger says of a batch on a card. */
export interface BatchRows {
  millijoules: Millijoules;
  /** Of that, what is booked on jobs, made or not; all but loads and what was lost. */
  jobs: Millijoules;
  /** Of entries that say no place in time: pictures that were found after a kill. */
  adopted: Millijoules;
  /** Some of it is older than what is looked at. */
  early: boolean;
  hour: EpochMillis;
}

/** The rows of a card, in whatever order they were written. */
export class RowsOfCard {
  readonly hours = new Hours();
  readonly batches = new Map<string, BatchRows>();
  /** From and to of each stretch of time that is booked, two by two. */
  readonly spans: [EpochMillis, EpochMillis][] = [];
  readonly kinds = { active: 0, overhead: 0, idle: 0, foreign: 0, unknown: 0 };
  /** Rows that are said to be of a batch, and do not say of which. */
  readonly homeless: { readonly id: string; readonly kind: LedgerRow['kind']; readonly at: EpochMillis }[] = [];
  /** Rows whose energy nobody knows. */
  unread = 0;
  last: EpochMillis;
  readonly #gpu: string;
  readonly #first: EpochMillis;
  #span = '';

  /** @param first when what is looked at begins */
  constructor(gpu: string, first: EpochMillis) {
    this.#gpu = gpu;
    this.#first = first;
    this.last = first;
  }

  add(row: LedgerRow): void {
    const { kind } = row;
    if (kind === 'charge' || kind === 'credit' || kind === 'correction') return;
    if (row.gpu === null && row.batch_id !== null) this.#adopted(row.batch_id, row);
    if (row.gpu !== this.#gpu || row.from_at === null || row.to_at === null || row.to_at < this.#first) return;
    if (row.corrects === null) this.#note(row.from_at, row.to_at);
    // What was guessed by time and watts was read from no meter.
    const energy = row.meter === 'model' ? null : row.energy_mj;
    if (energy === null) this.unread += 1;
    const isOurs = kind === 'active' || kind === 'overhead';
    if (isOurs && row.batch_id === null) this.homeless.push({ id: row.id, kind, at: row.from_at });
    if (isOurs && row.batch_id !== null)
      this.#add(this.#ofBatch(row.batch_id, row.from_at), energy ?? 0, row.cause !== 'load' && row.cause !== 'lost');
    if (energy === null) return;
    const from = Math.max(row.from_at, this.#first);
    const length = row.to_at - row.from_at;
    const part = length === 0 ? energy : (energy * (row.to_at - from)) / length;
    this.kinds[kind] += part;
    this.hours.add(KINDS[kind], part, from, row.to_at);
  }

  #note(from: EpochMillis, to: EpochMillis): void {
    this.last = Math.max(this.last, to);
    const span = `${from}-${to}`;
    // The entries of one window come one after the other.
    if (span !== this.#span) this.spans.push([from, to]);
    this.#span = span;
  }

  #add(batch: BatchRows, energy: Millijoules, isOfJob: boolean): void {
    batch.millijoules += energy;
    if (isOfJob) batch.jobs += energy;
  }

  #adopted(batch: string, { energy_mj: energy, meter, at }: LedgerRow): void {
    if (meter !== 'model') this.#ofBatch(batch, at).adopted += energy ?? 0;
  }

  #ofBatch(batch: string, from: EpochMillis): BatchRows {
    const known = this.batches.get(batch) ?? { millijoules: 0, jobs: 0, adopted: 0, early: false, hour: hourOf(from) };
    known.early ||= from < this.#first;
    this.batches.set(batch, known);
    return known;
  }
}

const KINDS: Readonly<Record<'active' | 'overhead' | 'idle' | 'foreign' | 'unknown', HourKind>> = {
  active: 'ours',
  overhead: 'ours',
  idle: 'idle',
  foreign: 'foreign',
  unknown: 'unknown',
};
