import { type AuditFault, audit } from '../../src/cost/audit.ts';
import { CardBooks } from '../../src/cost/books.ts';
import { wallClock } from '../../src/cost/local-time.ts';
import { openBatches } from '../../src/cost/recovered.ts';
import type { BatchResult, CounterReading, EnergyReading, LedgerRow, Mark } from '../../src/ports.ts';
import { NO_METER, PRICES } from './batches.ts';
import { nextBatch, resultWith, settlementWith } from './month/batch.ts';
import { Ledger } from './month/ledger.ts';

const UTC = wallClock('UTC');

export const GPU = 'GPU-bench';
export const PID = 41;
/** Five minutes into an hour, so that no test is cut by accident. */
export const BEGIN = Date.UTC(2026, 10, 30, 12, 5);

/** What a second of a card looks like. */
export interface Second {
  readonly watts?: number | null;
  readonly counter?: number | null;
  readonly utilization?: number | null;
  readonly processes?: CounterReading['processes'];
}

/** The books of one card, second by second, into a ledger that is audited. */
export class CardBench {
  readonly ledger = new Ledger();
  books: CardBooks;
  ours: readonly number[] = [];
  /** Seconds since the begin, by the wall and in truth, and what the counter says. */
  now = 0;
  passed = 0;
  counter = 1_000_000;
  #launches = 1;
  #batches = 0;

  constructor() {
    this.books = this.#open();
  }

  /** Another process takes over; what the last one had not written is lost. */
  restart(): void {
    this.#launches += 1;
    this.books = this.#open();
    this.#write();
  }

  /** @param watts goes into the counter too, where that is not given; null for either is not told */
  run(seconds: number, second: Second = {}): void {
    const { watts = 20, utilization = 0, processes = this.ours.map((pid) => ({ pid, share: 0 })) } = second;
    for (let left = seconds; left > 0; left -= 1) {
      this.now += 1;
      this.passed += 1;
      this.counter += (watts ?? 20) * 1_000;
      this.tell(BEGIN + this.now * 1_000, {
        watts,
        utilization,
        processes,
        counter: second.counter === undefined ? this.counter : second.counter,
      });
    }
  }

  tell(at: number, { watts = null, utilization = null, processes = null, counter = null }: Second): void {
    this.books.read(
      {
        ...{ kind: 'power', at, gpu: GPU, watts, instant: true, limit: 450, utilization },
        ...{ memoryUsed: null, memoryTotal: null, temperature: null, fan: null, clock: null, state: null },
      },
      this.ours,
      this.passed * 1_000,
    );
    this.books.read({ kind: 'counter', at, gpu: GPU, millijoules: counter, processes }, this.ours, this.passed * 1_000);
    this.#write();
  }

  begin(): string {
    this.#batches += 1;
    const id = `launch${this.#launches}-${this.#batches}`;
    this.books.begin(id);
    this.#write();
    return id;
  }

  /** Of the last seconds, as a worker tells it. */
  window(seconds: number, watts: number, change: Partial<NonNullable<EnergyReading['window']>> = {}): EnergyReading {
    const [to, all] = [BEGIN + this.now * 1_000, seconds * watts * 1_000];
    const integral = { millijoules: all, bound: 100 };
    const counter = { from: this.counter - all, to: this.counter };
    const window = { gpu: GPU, from: to - seconds * 1_000, to, counter, integral, foreign: 0, ...change };
    const millijoules = window.foreign === null ? null : all - window.foreign;
    return { millijoules, method: 'measured', meter: 'nvml_counter', window };
  }

  /** @param energy null: its worker died */
  end(
    id: string,
    energy: EnergyReading | null,
    loads: readonly EnergyReading[] = [],
    shared: Partial<BatchResult['shared']> = {},
  ): BatchResult {
    const batch = nextBatch(id, 'cuda:0', 2);
    const told = resultWith(batch, loads, energy);
    const ended = this.books.end({ ...told, shared: { ...told.shared, ...shared } }, this.ours);
    const fate = energy === null ? 'failed' : 'made';
    this.ledger.settle(settlementWith(batch, ended, [fate, fate], BEGIN + this.now * 1_000));
    this.books.settled();
    this.#write();
    return ended.result;
  }

  /** As {@link end}, and the ledger does not take it. */
  endUnsettled(id: string, energy: EnergyReading, shared: Partial<BatchResult['shared']> = {}): void {
    const told = resultWith(nextBatch(id, 'cuda:0', 2), [], energy);
    this.books.end({ ...told, shared: { ...told.shared, ...shared } }, this.ours);
    this.books.gaveUp();
    this.#write();
  }

  stop(): void {
    this.books.stop();
    this.#write();
  }

  get marks(): readonly Mark[] {
    return this.ledger.marks.get(GPU) ?? [];
  }

  /** Rows as kind, cause, seconds and joules, in the order of their times. */
  get told(): readonly string[] {
    return this.ledger.rows
      .toSorted((a, b) => (a.from_at ?? 0) - (b.from_at ?? 0))
      .map(({ kind, cause, energy_mj: energy, from_at: from, to_at: to }) => {
        const seconds = from === null || to === null ? '?' : (to - from) / 1_000;
        return `${kind} ${cause ?? '-'} ${seconds} s ${energy === null ? '?' : energy / 1_000} J`;
      });
  }

  rowsOf(kind: LedgerRow['kind']): readonly LedgerRow[] {
    return this.ledger.rows.filter((row) => row.kind === kind);
  }

  async faults(): Promise<readonly AuditFault[]> {
    const span = { from: 0, to: Number.MAX_SAFE_INTEGER };
    return (await audit({ gpu: GPU, marks: stream(this.marks), rows: stream(this.ledger.rows), span, clock: UTC }))
      .faults;
  }

  #open(): CardBooks {
    const options = { gpu: GPU, launch: `launch${this.#launches}`, tariff: PRICES.tariff };
    const [chain = null] = this.ledger.chains();
    return new CardBooks(options, chain, this.ledger.bookedOf(chain === null ? [] : openBatches(chain)));
  }

  #write(): void {
    const booking = this.books.take();
    if (booking !== null) this.ledger.meter(booking);
  }
}

export const DIED = NO_METER;

async function* stream<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
