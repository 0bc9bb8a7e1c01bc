import { CLEAN } from '../batch/marks.ts';
import { groupOf, totalsOf } from '../cost/totals.ts';
import { StorageError } from '../errors.ts';
import type {
  BatchBooking,
  Chain,
  Charge,
  Check,
  Clock,
  Entry,
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
import { type KeptJob, MemoryJobs } from './memory-jobs.ts';
import { type KeptEntry, MemoryLedger } from './memory-ledger.ts';
import { RowsOfDevices } from './rows-of-devices.ts';
import { busy } from './run-table.ts';
import { countsOf, LEFT_STATES, OPEN_STATES, RETRIABLE_STATES } from './states.ts';

type KeptRun = Omit<RunRow, 'counts'>;

/** The store without a file: for tests, and for whoever needs nothing afterwards. Each method is one transaction. */
export class MemoryStore implements Store {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #runs = new Map<string, KeptRun>();
  readonly #jobs = new MemoryJobs(() => ++this.#latest);
  readonly #ledger = new MemoryLedger(() => ++this.#latest);
  readonly #settlements = new Set<string>();
  readonly #limits = new RowsOfDevices<LearnedLimit>((one) => [one.device, one.model, one.engine, one.shape]);
  readonly #measurements = new RowsOfDevices<Measurement>((one) => [
    one.device,
    one.model,
    one.engine,
    one.shape,
    one.batch,
  ]);
  #pause: Pause | null = null;
  #owner: Owner | null = null;
  #latest = 0;
  #closed = false;

  constructor(clock: Pick<Clock, 'now'> = Date) {
    this.#clock = clock;
  }

  async sequence(): Promise<number> {
    this.#mustBeOpen();
    return this.#latest;
  }

  async runByName(name: string): Promise<RunRow | undefined> {
    this.#mustBeOpen();
    const run = [...this.#runs.values()].find((candidate) => candidate.name === name);
    return run === undefined ? undefined : this.#rowOf(run);
  }

  async run(id: string): Promise<RunRow | undefined> {
    this.#mustBeOpen();
    const run = this.#runs.get(id);
    return run === undefined ? undefined : this.#rowOf(run);
  }

  async interruptedRun(contentKey: string): Promise<RunRow | undefined> {
    return this.#runsWith(LEFT_STATES).findLast((run) => run.contentKey === contentKey && !run.named);
  }

  async openRuns(): Promise<readonly RunRow[]> {
    return this.#runsWith(OPEN_STATES);
  }

  async runs(limit: number): Promise<readonly RunRow[]> {
    return this.#runsWith(null).reverse().slice(0, limit);
  }

  async job(id: string): Promise<JobRow | undefined> {
    this.#mustBeOpen();
    const kept = this.#jobs.one(id);
    return kept === undefined ? undefined : this.#jobRowOf(kept);
  }

  async jobsOf(runId: string): Promise<readonly JobRow[]> {
    return this.#opened(this.#jobs)
      .of(runId)
      .map((kept) => this.#jobRowOf(kept));
  }

  async changedSince(runId: string, seq: number, limit = 1000): Promise<readonly JobRow[]> {
    const changed = this.#opened(this.#jobs)
      .of(runId)
      .filter((kept) => kept.seq > seq);
    return changed
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit)
      .map((kept) => this.#jobRowOf(kept));
  }

  async payloads(runId: string, states: readonly JobState[]): Promise<readonly Job[]> {
    return this.#opened(this.#jobs)
      .of(runId)
      .filter((kept) => states.includes(kept.state))
      .map((kept) => kept.job);
  }

  async writeRun(write: RunWrite): Promise<void> {
    this.#mustBeOpen();
    const { run, claimedFrom } = write;
    const known = this.#runs.get(run.id);
    const namesake = [...this.#runs.values()].some((other) => other.name === run.name && other.id !== run.id);
    if (namesake || (known?.launch ?? null) !== claimedFrom) throw busy(run.name);
    this.#jobs.mustFit(write);
    this.#runs.set(run.id, { ...run, held: null, createdAt: known?.createdAt ?? this.#clock.now() });
    this.#jobs.write(write);
  }

  async markQueued(runId: string, jobIds?: readonly string[]): Promise<void> {
    this.#opened(this.#jobs).move(runId, ['submitting'], 'queued', jobIds);
  }

  async markRunning(jobIds: readonly string[], batchId: string): Promise<readonly string[]> {
    this.#mustBeOpen();
    const open: string[] = [];
    for (const id of jobIds) {
      const kept = this.#jobs.one(id);
      if (kept === undefined || !OPEN_STATES.includes(kept.state)) continue;
      if (this.#runs.get(kept.job.runId)?.held !== null) continue;
      open.push(id);
      this.#jobs.start(kept, batchId);
    }
    return open;
  }

  async settle(settlement: Settlement): Promise<void> {
    this.#mustBeOpen();
    const written = JSON.stringify(settlement);
    if (this.#settlements.has(written)) return;
    if (settlement.entries.length > 0) this.#settlements.add(written);
    for (const entry of settlement.entries) this.#ledger.book(entry, this.#runs.get(entry.runId ?? '')?.tags ?? {});
    if (settlement.meter !== undefined) this.#ledger.meter(settlement.meter);
    for (const job of settlement.jobs) this.#jobs.settle(job);
  }

  async interrupt(runId: string, launch: string, jobIds?: readonly string[]): Promise<readonly string[]> {
    this.#mustBeOpen();
    const run = this.#runs.get(runId);
    if (run?.launch !== launch || (jobIds !== undefined && run.served)) return [];
    return this.#opened(this.#jobs).move(runId, OPEN_STATES, 'interrupted', jobIds);
  }

  async marks(jobId: string): Promise<Marks> {
    this.#mustBeOpen();
    return this.#jobs.one(jobId)?.marks ?? CLEAN;
  }

  async cancel(jobIds: readonly string[]): Promise<readonly string[]> {
    return this.#opened(this.#jobs)
      .moveAmong(jobIds, LEFT_STATES, 'cancelled')
      .map((kept) => kept.job.id);
  }

  async retry(jobIds: readonly string[]): Promise<readonly string[]> {
    const moved = this.#opened(this.#jobs).moveAmong(jobIds, RETRIABLE_STATES, 'submitting');
    for (const kept of moved) Object.assign(kept, { marks: CLEAN, error: null, batchId: null });
    for (const runId of new Set(moved.map((kept) => kept.job.runId))) {
      if (this.#isHeld(runId)) this.#opened(this.#jobs).move(runId, ['queued'], 'submitting');
      this.#change(runId, { served: true, held: null });
    }
    return moved.map((kept) => kept.job.id);
  }

  async resume(runId: string): Promise<readonly string[]> {
    const wasHeld = this.#isHeld(runId);
    this.#change(runId, { served: true, held: null });
    return this.#opened(this.#jobs).move(runId, wasHeld ? ['interrupted', 'queued'] : ['interrupted'], 'submitting');
  }

  async hold(runId: string, reason: string | null): Promise<void> {
    this.#mustBeOpen();
    this.#latest += 1;
    this.#change(runId, { held: reason });
  }

  async news(seq: number): Promise<News> {
    this.#mustBeOpen();
    const sequence = this.#latest;
    if (sequence <= seq) return { sequence, withdrawn: [], submitted: false, pause: this.#pause };
    const gone = this.#jobs
      .all()
      .filter((kept) => kept.seq > seq && (kept.state === 'cancelled' || kept.state === 'interrupted'));
    const withdrawn = gone.sort((a, b) => a.seq - b.seq).map((kept) => kept.job.id);
    const submitted = this.#runsWith(['submitting']).some((run) => run.served && run.held === null);
    return { sequence, withdrawn, submitted, pause: this.#pause };
  }

  async setPause(pause: Pause | null): Promise<void> {
    this.#mustBeOpen();
    this.#latest += 1;
    this.#pause = pause;
  }

  async endPause({ since, until }: Pause): Promise<void> {
    if (this.#pause?.since === since && this.#pause.until === until) await this.setPause(null);
  }

  async owner(): Promise<Owner | null> {
    return this.#owner;
  }

  async setOwner(owner: Owner): Promise<void> {
    this.#owner = owner;
  }

  async limits(): Promise<readonly LearnedLimit[]> {
    return this.#limits.all();
  }

  async learn(learned: LearnedLimit): Promise<void> {
    this.#limits.put(learned);
  }

  async forgetLimits(device: string | null): Promise<number> {
    return this.#limits.forget(device);
  }

  async measurements(): Promise<readonly Measurement[]> {
    return this.#measurements.all();
  }

  async measure(measurement: Measurement): Promise<void> {
    this.#measurements.put(measurement);
  }

  async forgetMeasurements(device: string | null): Promise<number> {
    return this.#measurements.forget(device);
  }

  async totals(runId: string, seq: number): Promise<RunTotals> {
    this.#mustBeOpen();
    const entries = this.#ledger.entriesOf(runId).filter((entry) => entry.seq > seq);
    const parts = entries.map((entry) => ({ part: this.#partOf(entry, seq), receipt: entry.receipt }));
    const batches = new Set(parts.filter(({ part }) => part === 'active').map(({ receipt }) => receipt.batch.id));
    return totalsOf(
      parts.map(({ part, receipt }) => groupOf(part, receipt)),
      batches.size,
    );
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'store', status: 'warn', detail: 'in memory: nothing is kept when the program ends' }];
  }

  async meter(booking: MeterBooking): Promise<void> {
    this.#opened(this.#ledger).meter(booking);
  }

  async chains(): Promise<readonly Chain[]> {
    return this.#opened(this.#ledger).chains();
  }

  async bookedOf(batchIds: readonly string[]): Promise<ReadonlyMap<string, BatchBooking>> {
    return this.#opened(this.#ledger).bookedOf(batchIds);
  }

  async marksOf(gpu: string, span: LedgerSpan, after: Mark | null, limit: number): Promise<readonly Mark[]> {
    return this.#opened(this.#ledger).marksOf(gpu, span, after, limit);
  }

  async charge(charges: readonly Charge[]): Promise<number> {
    const ledger = this.#opened(this.#ledger);
    return charges.filter((charge) => ledger.charge(charge)).length;
  }

  async keepPrice(snapshot: PriceSnapshot): Promise<void> {
    this.#opened(this.#ledger).keepPrice(snapshot);
  }

  async price(id: string): Promise<PriceSnapshot | undefined> {
    return this.#opened(this.#ledger).price(id);
  }

  async sums(span: LedgerSpan, by: readonly SumKey[]): Promise<readonly LedgerSum[]> {
    return this.#opened(this.#ledger).sums(span, by);
  }

  async ledger(span: LedgerSpan, after: number, limit: number): Promise<readonly LedgerRow[]> {
    return this.#opened(this.#ledger).page(span, after, limit);
  }

  async ledgerRow(id: string): Promise<LedgerRow | undefined> {
    return this.#opened(this.#ledger).row(id);
  }

  async lastRows(limit: number, of: 'all' | 'charges'): Promise<readonly LedgerRow[]> {
    return this.#opened(this.#ledger).last(limit, of);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #opened<Part>(part: Part): Part {
    this.#mustBeOpen();
    return part;
  }

  #partOf(entry: KeptEntry, seq: number): Entry['kind'] {
    const kept = entry.jobId === null ? undefined : this.#jobs.one(entry.jobId);
    if (entry.cause !== 'redone' || kept === undefined || this.#pictureOf(kept) !== entry) return entry.kind;
    const [first] = this.#ledger.madeFor(kept.job.id);
    return first !== undefined && first.seq > seq ? 'overhead' : 'active';
  }

  /** The entry of the picture at the job's path; a later one is of a picture that lost the race for it. */
  #pictureOf({ job, state, seq }: KeptJob): KeptEntry | undefined {
    return state === 'done' ? this.#ledger.madeFor(job.id).findLast((made) => made.seq < seq) : undefined;
  }

  #isHeld(runId: string): boolean {
    return typeof this.#runs.get(runId)?.held === 'string';
  }

  #change(runId: string, change: Partial<Pick<KeptRun, 'served' | 'held'>>): void {
    const run = this.#runs.get(runId);
    if (run !== undefined) this.#runs.set(runId, { ...run, ...change });
  }

  /** Oldest first; null: all of them. */
  #runsWith(states: readonly JobState[] | null): RunRow[] {
    this.#mustBeOpen();
    const rows = [...this.#runs.values()].map((run) => this.#rowOf(run));
    return rows
      .filter((row) => states === null || states.some((state) => row.counts[state] > 0))
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  }

  #rowOf(run: KeptRun): RunRow {
    const found: Record<string, number> = {};
    for (const { state } of this.#opened(this.#jobs).of(run.id)) found[state] = (found[state] ?? 0) + 1;
    return { ...run, counts: countsOf(found) };
  }

  #jobRowOf(row: KeptJob): JobRow {
    const { job, batchId: _, ...kept } = row;
    const { priority, request, when } = job;
    const { prompt, seed } = request;
    return {
      id: job.id,
      runId: job.runId,
      prompt,
      seed,
      priority,
      ...(when === undefined ? {} : { when }),
      ...kept,
      receipt: this.#pictureOf(row)?.receipt ?? null,
    };
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StorageError('the store is closed already', { code: 'store_closed' });
  }
}
