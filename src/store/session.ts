import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { StorageError } from '../errors.ts';
import type {
  BatchBooking,
  Chain,
  Charge,
  Check,
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
  SumKey,
} from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { Changes } from './changes.ts';
import { ChargeTable } from './charge-table.ts';
import { ControlTable } from './control-table.ts';
import { inTransaction, openDatabase, rollBack } from './database.ts';
import { EntryTable } from './entry-table.ts';
import { JobTable } from './job-table.ts';
import { MarkTable } from './mark-table.ts';
import { MeasurementTable } from './measurement-table.ts';
import type { Calls, JobInsert, JobRequeue, PayloadPage, SlotRange } from './protocol.ts';
import { integerOf, textOf } from './row.ts';
import { RunTable } from './run-table.ts';
import { StretchTable } from './stretch-table.ts';
import { SumTable } from './sum-table.ts';

/** One open database file and everything that may be done with it. Blocks; lives in the database thread. */
export class Session implements Omit<Calls, 'open'> {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #changes: Changes;
  readonly #runs: RunTable;
  readonly #jobs: JobTable;
  readonly #entries: EntryTable;
  readonly #control: ControlTable;
  readonly #measurements: MeasurementTable;
  readonly #marks: MarkTable;
  readonly #stretches: StretchTable;
  readonly #charges: ChargeTable;
  readonly #sums: SumTable;

  constructor(path: string) {
    this.#path = path;
    this.#db = openDatabase(path);
    this.#changes = new Changes(this.#db);
    this.#runs = new RunTable(this.#db);
    this.#jobs = new JobTable(this.#db, this.#changes);
    this.#entries = new EntryTable(this.#db, this.#changes);
    this.#control = new ControlTable(this.#db, this.#changes);
    this.#measurements = new MeasurementTable(this.#db);
    this.#marks = new MarkTable(this.#db);
    this.#stretches = new StretchTable(this.#db, this.#changes);
    this.#charges = new ChargeTable(this.#db, this.#changes);
    this.#sums = new SumTable(this.#db);
  }

  sequence(): number {
    return this.#changes.latest();
  }

  runByName(name: string): RunRow | undefined {
    return this.#runs.byName(name);
  }

  run(id: string): RunRow | undefined {
    return this.#runs.byId(id);
  }

  interruptedRun(contentKey: string): RunRow | undefined {
    return this.#runs.interrupted(contentKey);
  }

  openRuns(): readonly RunRow[] {
    return this.#runs.open();
  }

  runs(limit: number): readonly RunRow[] {
    return this.#runs.youngest(limit);
  }

  job(id: string): JobRow | undefined {
    return this.#jobs.one(id);
  }

  jobsPage(runId: string, after: number, limit: number): readonly JobRow[] {
    return this.#jobs.page(runId, after, limit);
  }

  changedSince(runId: string, seq: number, limit: number): readonly JobRow[] {
    return this.#jobs.changedSince(runId, seq, limit);
  }

  payloadsPage(runId: string, states: readonly JobState[], after: number, limit: number): PayloadPage {
    return this.#jobs.payloads(runId, states, after, limit);
  }

  beginRun(run: RunWrite['run'], claimedFrom: string | null, createdAt: EpochMillis): void {
    this.#db.exec('BEGIN IMMEDIATE');
    this.#orRollBack(() => this.#runs.claim(run, claimedFrom, createdAt));
  }

  addJobs(runId: string, jobs: readonly JobInsert[]): void {
    this.#mustBeOpen();
    this.#orRollBack(() => this.#jobs.add(runId, jobs));
  }

  requeueJobs(runId: string, jobs: readonly JobRequeue[]): void {
    this.#mustBeOpen();
    this.#orRollBack(() => this.#jobs.requeue(runId, jobs));
  }

  commitRun(): void {
    this.#mustBeOpen();
    this.#orRollBack(() => this.#db.exec('COMMIT'));
  }

  abandonRun(): void {
    rollBack(this.#db);
  }

  markQueued(runId: string, jobIds?: readonly string[]): void {
    inTransaction(this.#db, () => this.#jobs.markQueued(runId, jobIds));
  }

  markRunning(jobIds: readonly string[], batchId: string): readonly string[] {
    return inTransaction(this.#db, () => this.#jobs.markRunning(jobIds, batchId));
  }

  settle(settlement: Settlement): void {
    inTransaction(this.#db, () => {
      if (!this.#entries.remember(settlement)) return;
      for (const entry of settlement.entries) this.#entries.book(entry);
      if (settlement.meter !== undefined) this.#book(settlement.meter);
      for (const job of settlement.jobs) this.#jobs.settle(job);
    });
  }

  interrupt(runId: string, launch: string, jobIds?: readonly string[]): readonly string[] {
    return inTransaction(this.#db, () => {
      const kept = jobIds !== undefined && this.#runs.byId(runId)?.served === true;
      return this.#runs.isHeldBy(runId, launch) && !kept ? this.#jobs.interrupt(runId, jobIds) : [];
    });
  }

  marks(jobId: string): Marks {
    return this.#jobs.marks(jobId);
  }

  cancel(jobIds: readonly string[]): readonly string[] {
    return inTransaction(this.#db, () => this.#jobs.cancel(jobIds));
  }

  retry(jobIds: readonly string[]): readonly string[] {
    return inTransaction(this.#db, () => {
      const ids = this.#jobs.retry(jobIds);
      for (const runId of this.#runs.heldAmongThoseOf(ids)) this.#jobs.resume(runId, ['queued']);
      this.#runs.serveThoseOf(ids);
      return ids;
    });
  }

  resume(runId: string): readonly string[] {
    return inTransaction(this.#db, () => {
      const wasHeld = typeof this.#runs.byId(runId)?.held === 'string';
      this.#runs.serve(runId);
      return this.#jobs.resume(runId, wasHeld ? ['interrupted', 'queued'] : ['interrupted']);
    });
  }

  hold(runId: string, reason: string | null): void {
    inTransaction(this.#db, () => {
      this.#changes.take(1);
      this.#runs.hold(runId, reason);
    });
  }

  news(seq: number): News {
    const sequence = this.#changes.latest();
    const pause = this.#control.pause();
    if (sequence <= seq) return { sequence, withdrawn: [], submitted: false, pause };
    return { sequence, withdrawn: this.#jobs.withdrawnSince(seq), submitted: this.#runs.anySubmitted(), pause };
  }

  setPause(pause: Pause | null): void {
    inTransaction(this.#db, () => this.#control.setPause(pause));
  }

  endPause(pause: Pause): void {
    inTransaction(this.#db, () => this.#control.endPause(pause));
  }

  owner(): Owner | null {
    return this.#control.owner();
  }

  setOwner(owner: Owner): void {
    inTransaction(this.#db, () => this.#control.setOwner(owner));
  }

  limits(): readonly LearnedLimit[] {
    return this.#control.limits();
  }

  learn(limit: LearnedLimit): void {
    inTransaction(this.#db, () => this.#control.learn(limit));
  }

  forgetLimits(device: string | null): number {
    return inTransaction(this.#db, () => this.#control.forgetLimits(device));
  }

  measurements(): readonly Measurement[] {
    return this.#measurements.all();
  }

  measure(measurement: Measurement): void {
    inTransaction(this.#db, () => this.#measurements.put(measurement));
  }

  forgetMeasurements(device: string | null): number {
    return inTransaction(this.#db, () => this.#measurements.forget(device));
  }

  totals(runId: string, seq: number): RunTotals {
    return this.#entries.totals(runId, seq);
  }

  meter(booking: MeterBooking): void {
    inTransaction(this.#db, () => this.#book(booking));
  }

  chains(): readonly Chain[] {
    return this.#marks.chains();
  }

  bookedOf(batchIds: readonly string[]): ReadonlyMap<string, BatchBooking> {
    return this.#stretches.bookedOf(batchIds);
  }

  marksOf(gpu: string, span: LedgerSpan, after: Mark | null, limit: number): readonly Mark[] {
    return this.#marks.page(gpu, span, after, limit);
  }

  charge(charges: readonly Charge[]): number {
    return inTransaction(this.#db, () => charges.filter((charge) => this.#charges.book(charge)).length);
  }

  keepPrice(snapshot: PriceSnapshot): void {
    inTransaction(this.#db, () => this.#charges.keep(snapshot));
  }

  price(id: string): PriceSnapshot | undefined {
    return this.#charges.price(id);
  }

  slots(span: LedgerSpan): SlotRange | null {
    return this.#sums.slots(span);
  }

  sums(span: LedgerSpan, by: readonly SumKey[]): readonly LedgerSum[] {
    return this.#sums.sums(span, by);
  }

  ledger(span: LedgerSpan, after: number, limit: number): readonly LedgerRow[] {
    return this.#sums.page(span, after, limit);
  }

  ledgerRow(id: string): LedgerRow | undefined {
    return this.#sums.row(id);
  }

  lastRows(limit: number, of: 'all' | 'charges'): readonly LedgerRow[] {
    return this.#sums.last(limit, of);
  }

  check(): readonly Check[] {
    const verdict = textOf(this.#db.prepare('PRAGMA quick_check(1)').get() ?? {}, 'quick_check');
    if (verdict !== 'ok') {
      const detail = `${this.#path} is damaged: ${verdict}`;
      return [{ name: 'store', status: 'fail', detail, mend: `restore a copy of ${this.#path}, or move it away` }];
    }
    const runs = integerOf(this.#db.prepare('SELECT count(*) AS n FROM runs').get() ?? {}, 'n');
    const megabytes = (statSync(this.#path).size / 1e6).toFixed(1);
    return [
      { name: 'store', status: 'ok', detail: `${this.#path}: ${megabytes} MB, ${runs} ${runs === 1 ? 'run' : 'runs'}` },
    ];
  }

  close(): void {
    rollBack(this.#db);
    this.#db.close();
  }

  #book({ marks, stretches }: MeterBooking): void {
    for (const mark of marks) this.#marks.add(mark);
    for (const stretch of stretches) this.#stretches.book(stretch);
  }

  #orRollBack(work: () => void): void {
    try {
      work();
    } catch (error) {
      rollBack(this.#db);
      throw error;
    }
  }

  /** Without it, rows that follow a failed chunk would be written outside of any transaction. */
  #mustBeOpen(): void {
    if (this.#db.isTransaction) return;
    throw new StorageError('the transaction of this run was rolled back; please report this', { code: 'internal' });
  }
}
