import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { CLEAN, type Marks } from '../batch/marks.ts';
import { StorageError } from '../errors.ts';
import { shared } from '../job/shared.ts';
import type { Job, JobRow, JobState, Settlement } from '../ports.ts';
import type { Changes } from './changes.ts';
import { PICTURE_OF_JOB, RECEIPT_COLUMNS, receiptOf } from './entry-table.ts';
import type { JobInsert, JobRequeue, PayloadPage } from './protocol.ts';
import { integerOf, oneOf, type Row, textOf, textOrNull } from './row.ts';
import { JOB_STATES, LEFT_STATES, maySettle, OPEN_STATES, RETRIABLE_STATES } from './states.ts';

/** The rows of `jobs`. Writes must be called inside a transaction; each gives every row it changes a number of its own. */
export class JobTable {
  readonly #changes: Changes;
  readonly #one: StatementSync;
  readonly #page: StatementSync;
  readonly #changed: StatementSync;
  readonly #payloads: StatementSync;
  readonly #insert: StatementSync;
  readonly #requeue: StatementSync;
  readonly #isOf: StatementSync;
  readonly #idsIn: StatementSync;
  readonly #idsAmong: StatementSync;
  readonly #moveThese: StatementSync;
  readonly #clear: StatementSync;
  readonly #withdrawn: StatementSync;
  readonly #marks: StatementSync;
  readonly #mark: StatementSync;
  readonly #moveAll: StatementSync;
  readonly #start: StatementSync;
  readonly #state: StatementSync;
  readonly #settle: StatementSync;

  constructor(db: DatabaseSync, changes: Changes) {
    this.#changes = changes;
    this.#one = db.prepare(`${SELECT} WHERE j.id = ?`);
    this.#page = db.prepare(`${SELECT} WHERE j.run_id = ? AND j.idx > ? ORDER BY j.idx LIMIT ?`);
    this.#changed = db.prepare(`${SELECT} WHERE j.run_id = ? AND j.seq > ? ORDER BY j.seq LIMIT ?`);
    this.#payloads = db.prepare(
      `SELECT idx, payload FROM jobs WHERE run_id = ? AND state IN ${EACH} AND idx > ? ORDER BY idx LIMIT ?`,
    );
    this.#insert = db.prepare(
      `INSERT INTO jobs (id, run_id, idx, line_key, occurrence, k, state, path, seq, payload)
       VALUES (:id, :runId, :index, :lineKey, :occurrence, :k, 'submitting', :path, :seq, :payload)`,
    );
    this.#requeue = db.prepare(
      `UPDATE jobs SET state = 'submitting', path = :path, error_code = NULL, error_message = NULL, batch_id = NULL,
         ${clearedIn('failed', 'cancelled', 'done')}, seq = :seq, payload = :payload
       WHERE id = :id AND run_id = :runId AND state <> 'running' AND (state <> 'done' OR :remake)`,
    );
    this.#isOf = db.prepare('SELECT 1 FROM jobs WHERE id = ? AND run_id = ?');
    this.#idsIn = db.prepare(`SELECT id FROM jobs WHERE run_id = ? AND state IN ${EACH} ORDER BY idx`);
    this.#idsAmong = db.prepare(`SELECT id FROM jobs WHERE id IN ${EACH} AND state IN ${EACH} ORDER BY id`);
    this.#moveThese = db.prepare(
      `UPDATE jobs SET state = :to, seq = :base + ranked.n
       FROM (SELECT value AS id, row_number() OVER () AS n FROM json_each(:ids)) AS ranked WHERE jobs.id = ranked.id`,
    );
    this.#clear = db.prepare(
      `UPDATE jobs SET error_code = NULL, error_message = NULL, batch_id = NULL, ${ALL_CLEAN} WHERE id IN ${EACH}`,
    );
    this.#withdrawn = db.prepare(
      "SELECT id FROM jobs WHERE seq > ? AND state IN ('cancelled', 'interrupted') ORDER BY seq",
    );
    this.#marks = db.prepare('SELECT deaths, cut_offs, failures, blacks FROM jobs WHERE id = ?');
    this.#mark = db.prepare(
      'UPDATE jobs SET deaths = :deaths, cut_offs = :cutOffs, failures = :failures, blacks = :blacks WHERE id = :id',
    );
    this.#moveAll = db.prepare(
      `UPDATE jobs SET state = :to, seq = :base + ranked.n
       FROM (SELECT id, row_number() OVER (ORDER BY idx) AS n FROM jobs
             WHERE run_id = :runId AND state IN (SELECT value FROM json_each(:from))) AS ranked
       WHERE jobs.id = ranked.id`,
    );
    this.#start = db.prepare(
      `UPDATE jobs SET state = 'running', batch_id = :batchId, seq = :seq
       WHERE id = :id AND (state <> 'running' OR batch_id IS NOT :batchId)`,
    );
    this.#state = db.prepare(
      'SELECT state, held IS NOT NULL AS held FROM jobs JOIN runs ON runs.id = jobs.run_id WHERE jobs.id = ?',
    );
    this.#settle = db.prepare(
      `UPDATE jobs SET state = :state, path = coalesce(:path, path), error_code = :code, error_message = :message, seq = :seq
       WHERE id = :id`,
    );
  }

  one(id: string): JobRow | undefined {
    const row = this.#one.get(id);
    return row === undefined ? undefined : jobRowOf(row);
  }

  page(runId: string, after: number, limit: number): readonly JobRow[] {
    return this.#page.all(runId, after, limit).map(jobRowOf);
  }

  changedSince(runId: string, seq: number, limit: number): readonly JobRow[] {
    return this.#changed.all(runId, seq, limit).map(jobRowOf);
  }

  payloads(runId: string, states: readonly JobState[], after: number, limit: number): PayloadPage {
    const rows = this.#payloads.all(runId, JSON.stringify(states), after, limit);
    const last = rows.at(-1);
    return { jobs: rows.map(travellingJobOf), last: last === undefined ? after : integerOf(last, 'idx') };
  }

  add(runId: string, jobs: readonly JobInsert[]): void {
    let seq = this.#changes.take(jobs.length);
    for (const job of jobs) this.#insert.run({ ...job, runId, seq: ++seq });
  }

  /** A job that is done stays so, unless it is to be remade; one that is being made is left to whoever makes it. */
  requeue(runId: string, jobs: readonly JobRequeue[]): void {
    let seq = this.#changes.take(jobs.length);
    for (const { remake, ...job } of jobs) {
      const requeued = this.#requeue.run({ ...job, runId, remake: Number(remake), seq: ++seq });
      if (requeued.changes === 1 || this.#isOf.get(job.id, runId) !== undefined) continue;
      throw new StorageError(`run ${runId} has no job ${job.id} to be made again; please report this`, {
        code: 'internal',
      });
    }
  }

  markQueued(runId: string, jobIds?: readonly string[]): void {
    this.#moveOf(runId, jobIds, ['submitting'], 'queued');
  }

  /** A queue may hand a job out before `markQueued` was written, hence from `submitting` too. */
  markRunning(jobIds: readonly string[], batchId: string): readonly string[] {
    const open = jobIds.filter((id) => this.#mayRun(id));
    let seq = this.#changes.take(open.length);
    for (const id of open) this.#start.run({ id, batchId, seq: ++seq });
    return open;
  }

  settle(job: Settlement['jobs'][number]): void {
    const state = this.#stateOf(job.id);
    // Also of a job that was taken out meanwhile: what befell it did.
    if (job.state === 'queued' && state !== 'done') this.#mark.run({ id: job.id, ...job.marks });
    if (state === undefined || !maySettle(state, job.state)) return;
    this.#settle.run({
      id: job.id,
      state: job.state,
      path: job.state === 'done' ? job.path : null,
      code: job.state === 'failed' ? job.error.code : null,
      message: job.state === 'failed' ? job.error.message : null,
      seq: this.#changes.take(1) + 1,
    });
  }

  marks(id: string): Marks {
    const row = this.#marks.get(id);
    return row === undefined ? CLEAN : marksOf(row);
  }

  interrupt(runId: string, jobIds?: readonly string[]): readonly string[] {
    return this.#moveOf(runId, jobIds, OPEN_STATES, 'interrupted');
  }

  /** What of a run is in one of these states is submitted again: it is in no queue any more. */
  resume(runId: string, from: readonly JobState[]): readonly string[] {
    return this.#move(runId, from, 'submitting');
  }

  cancel(jobIds: readonly string[]): readonly string[] {
    return this.#moveAmong(jobIds, LEFT_STATES, 'cancelled');
  }

  /** Submitted again, as if nothing had been. */
  retry(jobIds: readonly string[]): readonly string[] {
    const ids = this.#moveAmong(jobIds, RETRIABLE_STATES, 'submitting');
    this.#clear.run(JSON.stringify(ids));
    return ids;
  }

  withdrawnSince(seq: number): readonly string[] {
    return this.#withdrawn.all(seq).map((row) => textOf(row, 'id'));
  }

  #stateOf(id: string): JobState | undefined {
    const row = this.#state.get(id);
    return row === undefined ? undefined : oneOf(row, 'state', JOB_STATES);
  }

  #mayRun(id: string): boolean {
    const row = this.#state.get(id);
    return row !== undefined && row.held === 0 && OPEN_STATES.includes(oneOf(row, 'state', JOB_STATES));
  }

  /** All of a run, or those of these jobs that are its own. */
  #moveOf(
    runId: string,
    jobIds: readonly string[] | undefined,
    from: readonly JobState[],
    to: JobState,
  ): readonly string[] {
    if (jobIds === undefined) return this.#move(runId, from, to);
    const own = jobIds.filter((id) => this.#isOf.get(id, runId) !== undefined);
    return this.#moveAmong(own, from, to);
  }

  #moveAmong(jobIds: readonly string[], states: readonly JobState[], to: JobState): readonly string[] {
    const ids = this.#idsAmong.all(JSON.stringify(jobIds), JSON.stringify(states)).map((row) => textOf(row, 'id'));
    if (ids.length > 0) this.#moveThese.run({ ids: JSON.stringify(ids), to, base: this.#changes.take(ids.length) });
    return ids;
  }

  #move(runId: string, states: readonly JobState[], to: JobState): readonly string[] {
    const from = JSON.stringify(states);
    const ids = this.#idsIn.all(runId, from).map((row) => textOf(row, 'id'));
    if (ids.length > 0) this.#moveAll.run({ runId, from, to, base: this.#changes.take(ids.length) });
    return ids;
  }
}

const EACH = '(SELECT value FROM json_each(?))';
const MARKS = ['deaths', 'cut_offs', 'failures', 'blacks'];
const ALL_CLEAN = MARKS.map((mark) => `${mark} = 0`).join(', ');

/** Assignments that forget what befell a job, where it is in one of these states. */
function clearedIn(...states: readonly JobState[]): string {
  const list = states.map((state) => `'${state}'`).join(', ');
  return MARKS.map((mark) => `${mark} = CASE WHEN state IN (${list}) THEN 0 ELSE ${mark} END`).join(', ');
}

const SELECT = `
  SELECT j.id, j.run_id, j.idx, j.line_key, j.occurrence, j.k, j.state, j.path, j.error_code, j.error_message,
    j.seq, j.payload, j.deaths, j.cut_offs, j.failures, j.blacks, e.id AS entry_id, ${RECEIPT_COLUMNS}
  FROM jobs AS j LEFT JOIN entries AS e ON j.state = 'done' AND e.id = ${PICTURE_OF_JOB}`;

function jobRowOf(row: Row): JobRow {
  const code = textOrNull(row, 'error_code');
  const { request, priority, when } = travellingJobOf(row);
  return {
    id: textOf(row, 'id'),
    runId: textOf(row, 'run_id'),
    index: integerOf(row, 'idx'),
    lineKey: textOf(row, 'line_key'),
    occurrence: integerOf(row, 'occurrence'),
    k: integerOf(row, 'k'),
    state: oneOf(row, 'state', JOB_STATES),
    prompt: request.prompt,
    seed: request.seed,
    path: textOf(row, 'path'),
    error: code === null ? null : { code, message: textOf(row, 'error_message') },
    priority,
    ...(when === undefined ? {} : { when }),
    marks: marksOf(row),
    seq: integerOf(row, 'seq'),
    receipt: row.entry_id === null ? null : receiptOf(row),
  };
}

function marksOf(row: Row): Marks {
  return {
    deaths: integerOf(row, 'deaths'),
    cutOffs: integerOf(row, 'cut_offs'),
    failures: integerOf(row, 'failures'),
    blacks: integerOf(row, 'blacks'),
  };
}

/** What jobs of earlier versions do not say. */
const EARLIER: Pick<Job, 'priority' | 'family' | 'anatomy' | 'loraPaths' | 'loraBytes'> = {
  priority: 'bulk',
  family: 'other',
  anatomy: null,
  loraPaths: [],
  loraBytes: 0,
};

/**
 * The text is what this store itself wrote from a Job, so it is not checked again. What its neighbours say too is the same
 * object in all of them, and stays so when a page of them crosses to the other thread.
 */
function travellingJobOf(row: Row): Job {
  const job = { ...EARLIER, ...JSON.parse(textOf(row, 'payload')) } as Job;
  const anatomy = job.anatomy === null ? null : shared(job.anatomy);
  return { ...job, anatomy, loraPaths: shared(job.loraPaths) };
}
