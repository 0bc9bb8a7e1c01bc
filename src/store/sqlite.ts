import { DAY_MS } from '../cost/local-time.ts';
import { StorageError, sentenceOf } from '../errors.ts';
import type {
  BatchBooking,
  Chain,
  Charge,
  Check,
  Clock,
  Job,
  JobRow,
  JobState,
  LearnedLimit,
  LedgerRow,
  LedgerSpan,
  LedgerSum,
  Mark,
  Marks,
  Measurement,
  MeterBooking,
  News,
  Owner,
  Pause,
  PriceSnapshot,
  RunRow,
  RunTotals,
  RunWrite,
  Settlement,
  Store,
  SumKey,
} from '../ports.ts';
import type { Calls, JobPayload } from './protocol.ts';
import { requireQuarters } from './quarters.ts';
import { StoreThread } from './store-thread.ts';

/** Rows that cross the channel at once: small enough that neither thread is held up. */
const PAGE = 500;
const PIECE_CHARACTERS = 1_000_000;

export interface SqliteOptions {
  readonly path: string;
  /** Dates new runs. */
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * The store in one SQLite file, worked on by a thread of its own, so that the caller's event loop never
 * waits for the disk. Several processes may have the same file open.
 * @throws StorageError `not_writable`, `disk_full`, `store_broken`, `store_newer`, `store_busy`
 */
export async function openSqliteStore({ path, clock }: SqliteOptions): Promise<Store> {
  const thread = new StoreThread();
  try {
    await thread.call('open', path);
  } catch (error) {
    await thread.terminate();
    throw error;
  }
  return new SqliteStore(path, clock, thread);
}

class SqliteStore implements Store {
  readonly #path: string;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #thread: StoreThread;
  #turn: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(path: string, clock: Pick<Clock, 'now'>, thread: StoreThread) {
    this.#path = path;
    this.#clock = clock;
    this.#thread = thread;
  }

  sequence(): Promise<number> {
    return this.#call('sequence');
  }

  runByName(name: string): Promise<RunRow | undefined> {
    return this.#call('runByName', name);
  }

  run(id: string): Promise<RunRow | undefined> {
    return this.#call('run', id);
  }

  interruptedRun(contentKey: string): Promise<RunRow | undefined> {
    return this.#call('interruptedRun', contentKey);
  }

  openRuns(): Promise<readonly RunRow[]> {
    return this.#call('openRuns');
  }

  runs(limit: number): Promise<readonly RunRow[]> {
    return this.#call('runs', limit);
  }

  job(id: string): Promise<JobRow | undefined> {
    return this.#call('job', id);
  }

  async jobsOf(runId: string): Promise<readonly JobRow[]> {
    const rows: JobRow[] = [];
    for (;;) {
      const page = await this.#call('jobsPage', runId, rows.at(-1)?.index ?? -1, PAGE);
      rows.push(...page);
      if (page.length < PAGE) return rows;
    }
  }

  changedSince(runId: string, seq: number, limit = 1000): Promise<readonly JobRow[]> {
    return this.#call('changedSince', runId, seq, limit);
  }

  async payloads(runId: string, states: readonly JobState[]): Promise<readonly Job[]> {
    const jobs: Job[] = [];
    for (let last = -1; ; ) {
      const page = await this.#call('payloadsPage', runId, states, last, PAGE);
      jobs.push(...page.jobs);
      if (page.jobs.length < PAGE) return jobs;
      last = page.last;
    }
  }

  /** Jobs cross in pieces, so that ten thousand are never in memory twice; the transaction is one. */
  writeRun({ run, claimedFrom, add, requeue }: RunWrite): Promise<void> {
    const inserts = function* () {
      for (const { job, index, lineKey, occurrence, k } of add) {
        yield { ...payloadOf(job.id, job), index, lineKey, occurrence, k };
      }
    };
    const payloads = function* () {
      for (const { id, job, remake } of requeue) yield { ...payloadOf(id, job), remake };
    };
    return this.#inTurn(async () => {
      await this.#thread.call('beginRun', run, claimedFrom, this.#clock.now());
      try {
        for (const jobs of pieces(inserts())) await this.#thread.call('addJobs', run.id, jobs);
        for (const jobs of pieces(payloads())) await this.#thread.call('requeueJobs', run.id, jobs);
        await this.#thread.call('commitRun');
      } catch (error) {
        await this.#thread.call('abandonRun');
        throw error;
      }
    });
  }

  markQueued(runId: string, jobIds?: readonly string[]): Promise<void> {
    return this.#call('markQueued', runId, jobIds);
  }

  markRunning(jobIds: readonly string[], batchId: string): Promise<readonly string[]> {
    return this.#call('markRunning', jobIds, batchId);
  }

  settle(settlement: Settlement): Promise<void> {
    return this.#call('settle', settlement);
  }

  interrupt(runId: string, launch: string, jobIds?: readonly string[]): Promise<readonly string[]> {
    return this.#call('interrupt', runId, launch, jobIds);
  }

  marks(jobId: string): Promise<Marks> {
    return this.#call('marks', jobId);
  }

  cancel(jobIds: readonly string[]): Promise<readonly string[]> {
    return this.#call('cancel', jobIds);
  }

  retry(jobIds: readonly string[]): Promise<readonly string[]> {
    return this.#call('retry', jobIds);
  }

  resume(runId: string): Promise<readonly string[]> {
    return this.#call('resume', runId);
  }

  hold(runId: string, reason: string | null): Promise<void> {
    return this.#call('hold', runId, reason);
  }

  news(seq: number): Promise<News> {
    return this.#call('news', seq);
  }

  setPause(pause: Pause | null): Promise<void> {
    return this.#call('setPause', pause);
  }

  endPause(pause: Pause): Promise<void> {
    return this.#call('endPause', pause);
  }

  owner(): Promise<Owner | null> {
    return this.#call('owner');
  }

  setOwner(owner: Owner): Promise<void> {
    return this.#call('setOwner', owner);
  }

  limits(): Promise<readonly LearnedLimit[]> {
    return this.#call('limits');
  }

  learn(limit: LearnedLimit): Promise<void> {
    return this.#call('learn', limit);
  }

  forgetLimits(device: string | null): Promise<number> {
    return this.#call('forgetLimits', device);
  }

  measurements(): Promise<readonly Measurement[]> {
    return this.#call('measurements');
  }

  measure(measurement: Measurement): Promise<void> {
    return this.#call('measure', measurement);
  }

  forgetMeasurements(device: string | null): Promise<number> {
    return this.#call('forgetMeasurements', device);
  }

  totals(runId: string, seq: number): Promise<RunTotals> {
    return this.#call('totals', runId, seq);
  }

  async check(): Promise<readonly Check[]> {
    try {
      return await this.#call('check');
    } catch (error) {
      return [{ name: 'store', status: 'fail', detail: sentenceOf(error), mend: `look at ${this.#path}` }];
    }
  }

  meter(booking: MeterBooking): Promise<void> {
    return this.#call('meter', booking);
  }

  chains(): Promise<readonly Chain[]> {
    return this.#call('chains');
  }

  bookedOf(batchIds: readonly string[]): Promise<ReadonlyMap<string, BatchBooking>> {
    return this.#call('bookedOf', batchIds);
  }

  marksOf(gpu: string, span: LedgerSpan, after: Mark | null, limit: number): Promise<readonly Mark[]> {
    return this.#call('marksOf', gpu, span, after, limit);
  }

  charge(charges: readonly Charge[]): Promise<number> {
    return this.#call('charge', charges);
  }

  keepPrice(snapshot: PriceSnapshot): Promise<void> {
    return this.#call('keepPrice', snapshot);
  }

  price(id: string): Promise<PriceSnapshot | undefined> {
    return this.#call('price', id);
  }

  /** A group of one quarter of an hour is within one day; so those of long spans cross a day at a time. */
  async sums(span: LedgerSpan, by: readonly SumKey[]): Promise<readonly LedgerSum[]> {
    requireQuarters(span);
    const slots = by.includes('slot') ? await this.#call('slots', span) : null;
    if (slots === null) return this.#call('sums', span, by);
    const sums: LedgerSum[] = [];
    for (let from = slots.first; from <= slots.last; from += DAY_MS) {
      const day = await this.#call('sums', { from, to: Math.min(from + DAY_MS, span.to) }, by);
      for (const sum of day) sums.push(sum);
    }
    return sums;
  }

  ledger(span: LedgerSpan, after: number, limit: number): Promise<readonly LedgerRow[]> {
    return this.#call('ledger', span, after, limit);
  }

  ledgerRow(id: string): Promise<LedgerRow | undefined> {
    return this.#call('ledgerRow', id);
  }

  lastRows(limit: number, of: 'all' | 'charges'): Promise<readonly LedgerRow[]> {
    return this.#call('lastRows', limit, of);
  }

  /** Waits for the calls that were made before. May be called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#inTurn(async () => {
      if (!this.#thread.gone()) await this.#thread.call('close');
      await this.#thread.ended();
    });
    return this.#closed;
  }

  #call<Name extends keyof Calls>(name: Name, ...args: Parameters<Calls[Name]>): Promise<ReturnType<Calls[Name]>> {
    return this.#inTurn(() => this.#thread.call(name, ...args));
  }

  /** One after another, so that no other call gets into the transaction of a `writeRun`. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw new StorageError(`${this.#path} is closed already`, { code: 'store_closed' });
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      return await work();
    } finally {
      resolve();
    }
  }
}

function payloadOf(id: string, job: Job): JobPayload {
  return { id, path: job.target, payload: JSON.stringify(job) };
}

/** Of at most {@link PAGE} jobs, and fewer where prompts are very long. */
function* pieces<Item extends JobPayload>(items: Iterable<Item>): Generator<readonly Item[]> {
  let piece: Item[] = [];
  let characters = 0;
  for (const item of items) {
    piece.push(item);
    characters += item.payload.length;
    if (piece.length < PAGE && characters < PIECE_CHARACTERS) continue;
    yield piece;
    piece = [];
    characters = 0;
  }
  if (piece.length > 0) yield piece;
}
