import { CLEAN } from '../batch/marks.ts';
import { groupOf, totalsOf } from '../cost/totals.ts';
import { StorageError } from '../errors.ts';
import type {
  BatchBooking,
  Check,
  Clock,
  Entry,
  Job,
  JobRow,
  JobState,
  LearnedLimit,
  LineIdentity,
  Marks,
  Measurement,
  NewJob,
  News,
  Owner,
  Pause,
  RunRow,
  RunTotals,
  RunWrite,
  Settlement,
  Store,
} from '../ports.ts';
import { RowsOfDevices } from './rows-of-devices.ts';
import { busy } from './run-table.ts';
import { countsOf, LEFT_STATES, maySettle, OPEN_STATES, RETRIABLE_STATES } from './states.ts';

interface KeptJob extends LineIdentity {
  readonly index: number;
  job: Job;
  state: JobState;
  path: string;
  error: JobRow['error'];
  batchId: string | null;
  marks: Marks;
  seq: number;
}

type KeptEntry = Entry & { readonly seq: number };
type KeptRun = Omit<RunRow, 'counts'>;

/** The store without a file: for tests, and for whoever needs nothing afterwards. Each method is one transaction. */
export class MemoryStore implements Store {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #runs = new Map<string, KeptRun>();
  readonly #jobs = new Map<string, KeptJob>();
  readonly #entries = new Map<string, KeptEntry>();
  /** Of each job the entries of its pictures, oldest first; the first one is active. */
  readonly #madeByJob = new Map<string, readonly KeptEntry[]>();
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
    const kept = this.#jobs.get(id);
    return kept === undefined ? undefined : this.#jobRowOf(kept);
  }

  async jobsOf(runId: string): Promise<readonly JobRow[]> {
    return this.#jobsOf(runId).map((kept) => this.#jobRowOf(kept));
  }

  async changedSince(runId: string, seq: number, limit = 1000): Promise<readonly JobRow[]> {
    const changed = this.#jobsOf(runId).filter((kept) => kept.seq > seq);
    return changed
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit)
      .map((kept) => this.#jobRowOf(kept));
  }

  async payloads(runId: string, states: readonly JobState[]): Promise<readonly Job[]> {
    return this.#jobsOf(runId)
      .filter((kept) => states.includes(kept.state))
      .map((kept) => kept.job);
  }

  async writeRun({ run, claimedFrom, add, requeue }: RunWrite): Promise<void> {
    this.#mustBeOpen();
    const known = this.#runs.get(run.id);
    const namesake = [...this.#runs.values()].some((other) => other.name === run.name && other.id !== run.id);
    if (namesake || (known?.launch ?? null) !== claimedFrom) throw busy(run.name);
    this.#mustFit(run.id, add, requeue);
    this.#runs.set(run.id, { ...run, held: null, createdAt: known?.createdAt ?? this.#clock.now() });
    for (const { job, ...line } of add) this.#submit(job, line);
    for (const { id, job, remake } of requeue) {
      const kept = this.#jobs.get(id);
      if (kept === undefined || kept.state === 'running' || (kept.state === 'done' && !remake)) continue;
      this.#submit(job, kept, marksKept(kept));
    }
  }

  async markQueued(runId: string, jobIds?: readonly string[]): Promise<void> {
    this.#move(runId, ['submitting'], 'queued', jobIds);
  }

  async markRunning(jobIds: readonly string[], batchId: string): Promise<readonly string[]> {
    this.#mustBeOpen();
    const open: string[] = [];
    for (const id of jobIds) {
      const kept = this.#jobs.get(id);
      if (kept === undefined || !OPEN_STATES.includes(kept.state)) continue;
      if (this.#runs.get(kept.job.runId)?.held !== null) continue;
      open.push(id);
      if (kept.state === 'running' && kept.batchId === batchId) continue;
      kept.batchId = batchId;
      this.#become(kept, 'running');
    }
    return open;
  }

  async settle(settlement: Settlement): Promise<void> {
    this.#mustBeOpen();
    const written = JSON.stringify(settlement);
    if (this.#settlements.has(written)) return;
    if (settlement.entries.length > 0) this.#settlements.add(written);
    for (const entry of settlement.entries) this.#book(entry);
    for (const job of settlement.jobs) this.#settleJob(job);
  }

  async interrupt(runId: string, launch: string, jobIds?: readonly string[]): Promise<readonly string[]> {
    this.#mustBeOpen();
    const run = this.#runs.get(runId);
    if (run?.launch !== launch || (jobIds !== undefined && run.served)) return [];
    return this.#move(runId, OPEN_STATES, 'interrupted', jobIds);
  }

  async marks(jobId: string): Promise<Marks> {
    this.#mustBeOpen();
    return this.#jobs.get(jobId)?.marks ?? CLEAN;
  }

  async cancel(jobIds: readonly string[]): Promise<readonly string[]> {
    return this.#moveAmong(jobIds, LEFT_STATES, 'cancelled').map((kept) => kept.job.id);
  }

  async retry(jobIds: readonly string[]): Promise<readonly string[]> {
    const moved = this.#moveAmong(jobIds, RETRIABLE_STATES, 'submitting');
    for (const kept of moved) Object.assign(kept, { marks: CLEAN, error: null, batchId: null });
    for (const runId of new Set(moved.map((kept) => kept.job.runId))) {
      if (this.#isHeld(runId)) this.#move(runId, ['queued'], 'submitting');
      this.#change(runId, { served: true, held: null });
    }
    return moved.map((kept) => kept.job.id);
  }

  async resume(runId: string): Promise<readonly string[]> {
    const wasHeld = this.#isHeld(runId);
    this.#change(runId, { served: true, held: null });
    return this.#move(runId, wasHeld ? ['interrupted', 'queued'] : ['interrupted'], 'submitting');
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
    const gone = [...this.#jobs.values()].filter(
      (kept) => kept.seq > seq && (kept.state === 'cancelled' || kept.state === 'interrupted'),
    );
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
    const entries = [...this.#entries.values()].filter((entry) => entry.runId === runId && entry.seq > seq);
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

  async meter(): Promise<never> {
    throw new Error('not yet');
  }

  async chains(): Promise<never> {
    throw new Error('not yet');
  }

  async bookedOf(): Promise<ReadonlyMap<string, BatchBooking>> {
    return new Map();
  }

  async marksOf(): Promise<never> {
    throw new Error('not yet');
  }

  async charge(): Promise<never> {
    throw new Error('not yet');
  }

  async keepPrice(): Promise<never> {
    throw new Error('not yet');
  }

  async price(): Promise<never> {
    throw new Error('not yet');
  }

  async sums(): Promise<never> {
    throw new Error('not yet');
  }

  async ledger(): Promise<never> {
    throw new Error('not yet');
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #book(entry: Entry): void {
    if (this.#entries.has(entry.id)) return;
    const made = entry.jobId === null ? [] : (this.#madeByJob.get(entry.jobId) ?? []);
    const redone = entry.kind === 'active' && made.length > 0;
    const booked: Entry = redone ? { ...entry, kind: 'overhead', cause: 'redone' } : entry;
    const kept = { ...booked, seq: ++this.#latest };
    this.#entries.set(entry.id, kept);
    if (entry.kind === 'active' && entry.jobId !== null) this.#madeByJob.set(entry.jobId, [...made, kept]);
  }

  #partOf(entry: KeptEntry, seq: number): Entry['kind'] {
    const kept = entry.jobId === null ? undefined : this.#jobs.get(entry.jobId);
    if (entry.cause !== 'redone' || kept === undefined || this.#pictureOf(kept) !== entry) return entry.kind;
    const [first] = this.#madeByJob.get(kept.job.id) ?? [];
    return first !== undefined && first.seq > seq ? 'overhead' : 'active';
  }

  /** The entry of the picture at the job's path; a later one is of a picture that lost the race for it. */
  #pictureOf({ job, state, seq }: KeptJob): KeptEntry | undefined {
    return state === 'done' ? this.#madeByJob.get(job.id)?.findLast((made) => made.seq < seq) : undefined;
  }

  #settleJob(job: Settlement['jobs'][number]): void {
    const kept = this.#jobs.get(job.id);
    if (kept === undefined) return;
    if (job.state === 'queued' && kept.state !== 'done') kept.marks = job.marks;
    if (!maySettle(kept.state, job.state)) return;
    if (job.state === 'done') kept.path = job.path;
    kept.error = job.state === 'failed' ? job.error : null;
    this.#become(kept, job.state);
  }

  #moveAmong(jobIds: readonly string[], from: readonly JobState[], to: JobState): readonly KeptJob[] {
    this.#mustBeOpen();
    const found = [...new Set(jobIds)].sort().map((id) => this.#jobs.get(id));
    const moved = found.filter((kept) => kept !== undefined).filter((kept) => from.includes(kept.state));
    for (const kept of moved) this.#become(kept, to);
    return moved;
  }

  #isHeld(runId: string): boolean {
    return typeof this.#runs.get(runId)?.held === 'string';
  }

  #change(runId: string, change: Partial<Pick<KeptRun, 'served' | 'held'>>): void {
    const run = this.#runs.get(runId);
    if (run !== undefined) this.#runs.set(runId, { ...run, ...change });
  }

  #move(runId: string, from: readonly JobState[], to: JobState, jobIds?: readonly string[]): readonly string[] {
    const among = jobIds === undefined ? null : new Set(jobIds);
    const moved = this.#jobsOf(runId).filter((kept) => from.includes(kept.state) && among?.has(kept.job.id) !== false);
    for (const kept of moved) this.#become(kept, to);
    return moved.map((kept) => kept.job.id);
  }

  #become(kept: KeptJob, state: JobState): void {
    kept.state = state;
    kept.seq = ++this.#latest;
  }

  #submit(job: Job, { index, lineKey, occurrence, k }: Omit<NewJob, 'job'>, marks = CLEAN): void {
    const line = { index, lineKey, occurrence, k };
    const fresh = { state: 'submitting', path: job.target, error: null, batchId: null, marks } as const;
    this.#jobs.set(job.id, { ...line, ...fresh, job, seq: ++this.#latest });
  }

  #mustFit(runId: string, add: RunWrite['add'], requeue: RunWrite['requeue']): void {
    const indexes = new Set(this.#jobsOf(runId).map((kept) => kept.index));
    for (const { job, index } of add) {
      if (!this.#jobs.has(job.id) && !indexes.has(index)) indexes.add(index);
      else throw new StorageError(`job ${job.id} is there already; please report this`, { code: 'internal' });
    }
    const stranger = requeue.find(({ id }) => this.#jobs.get(id)?.job.runId !== runId);
    if (stranger === undefined) return;
    const message = `run ${runId} has no job ${stranger.id} to be made again; please report this`;
    throw new StorageError(message, { code: 'internal' });
  }

  #jobsOf(runId: string): KeptJob[] {
    this.#mustBeOpen();
    return [...this.#jobs.values()].filter((kept) => kept.job.runId === runId).sort((a, b) => a.index - b.index);
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
    for (const { state } of this.#jobsOf(run.id)) found[state] = (found[state] ?? 0) + 1;
    return { ...run, counts: countsOf(found) };
  }

  #jobRowOf(row: KeptJob): JobRow {
    const { job, batchId: _, ...kept } = row;
    const { priority, request } = job;
    const { prompt, seed } = request;
    return {
      id: job.id,
      runId: job.runId,
      prompt,
      seed,
      priority,
      ...kept,
      receipt: this.#pictureOf(row)?.receipt ?? null,
    };
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new StorageError('the store is closed already', { code: 'store_closed' });
  }
}

/** What befell a job that was interrupted is kept. */
function marksKept({ state, marks }: KeptJob): Marks {
  return state === 'failed' || state === 'cancelled' || state === 'done' ? CLEAN : marks;
}
