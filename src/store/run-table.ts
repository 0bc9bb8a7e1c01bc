import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { InputError } from '../errors.ts';
import type { JobState, RunRow, RunWrite } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { integerOf, type Row, recordOf, textOf, textOrNull } from './row.ts';
import { countsOf, LEFT_STATES, OPEN_STATES } from './states.ts';

/** The rows of `runs`. Writes must be called inside a transaction. */
export class RunTable {
  readonly #byName: StatementSync;
  readonly #byId: StatementSync;
  readonly #interrupted: StatementSync;
  readonly #open: StatementSync;
  readonly #taken: StatementSync;
  readonly #insert: StatementSync;
  readonly #claim: StatementSync;
  readonly #youngest: StatementSync;
  readonly #submitted: StatementSync;
  readonly #serve: StatementSync;
  readonly #serveThoseOf: StatementSync;
  readonly #heldAmong: StatementSync;
  readonly #hold: StatementSync;
  readonly #heldBy: StatementSync;

  constructor(db: DatabaseSync) {
    this.#byName = db.prepare(`${SELECT} WHERE name = ?`);
    this.#byId = db.prepare(`${SELECT} WHERE id = ?`);
    this.#interrupted = db.prepare(
      `${SELECT} WHERE content_key = ? AND named = 0 AND ${hasJobIn(LEFT_STATES)} ORDER BY created_at DESC, id DESC LIMIT 1`,
    );
    this.#open = db.prepare(`${SELECT} WHERE ${hasJobIn(OPEN_STATES)} ORDER BY created_at, id`);
    this.#taken = db.prepare('SELECT 1 FROM runs WHERE (id = :id AND :isNew) OR (name = :name AND id <> :id)');
    this.#insert = db.prepare(
      `INSERT INTO runs (id, name, content_key, named, created_at, launch, served, out_dir, tags)
       VALUES (:id, :name, :contentKey, :named, :createdAt, :launch, :served, :outDir, :tags)`,
    );
    this.#claim = db.prepare(
      `UPDATE runs SET name = :name, content_key = :contentKey, named = :named, launch = :launch, served = :served,
         held = NULL, out_dir = :outDir, tags = :tags
       WHERE id = :id AND launch = :claimedFrom`,
    );
    this.#youngest = db.prepare(`${SELECT} ORDER BY created_at DESC, id DESC LIMIT ?`);
    this.#submitted = db.prepare(
      `SELECT 1 FROM runs WHERE served = 1 AND held IS NULL AND ${hasJobIn(['submitting'])} LIMIT 1`,
    );
    this.#serve = db.prepare('UPDATE runs SET served = 1, held = NULL WHERE id = ?');
    this.#serveThoseOf = db.prepare(`UPDATE runs SET served = 1, held = NULL WHERE id IN ${RUNS_OF_JOBS}`);
    this.#heldAmong = db.prepare(`SELECT id FROM runs WHERE held IS NOT NULL AND id IN ${RUNS_OF_JOBS}`);
    this.#hold = db.prepare('UPDATE runs SET held = ? WHERE id = ?');
    this.#heldBy = db.prepare('SELECT 1 FROM runs WHERE id = ? AND launch = ?');
  }

  byName(name: string): RunRow | undefined {
    return optional(this.#byName.get(name));
  }

  byId(id: string): RunRow | undefined {
    return optional(this.#byId.get(id));
  }

  interrupted(contentKey: string): RunRow | undefined {
    return optional(this.#interrupted.get(contentKey));
  }

  open(): readonly RunRow[] {
    return this.#open.all().map(runOf);
  }

  youngest(limit: number): readonly RunRow[] {
    return this.#youngest.all(limit).map(runOf);
  }

  /** Whether a run that waits for whoever serves has jobs that are in no queue yet. */
  anySubmitted(): boolean {
    return this.#submitted.get() !== undefined;
  }

  /** Lifts a hold, too. */
  serve(id: string): void {
    this.#serve.run(id);
  }

  heldAmongThoseOf(jobIds: readonly string[]): readonly string[] {
    return this.#heldAmong.all(JSON.stringify(jobIds)).map((row) => textOf(row, 'id'));
  }

  /** Lifts a hold, too. */
  serveThoseOf(jobIds: readonly string[]): void {
    this.#serveThoseOf.run(JSON.stringify(jobIds));
  }

  hold(id: string, reason: string | null): void {
    this.#hold.run(reason, id);
  }

  isHeldBy(id: string, launch: string): boolean {
    return this.#heldBy.get(id, launch) !== undefined;
  }

  /** @throws InputError `run_busy` */
  claim(run: RunWrite['run'], claimedFrom: string | null, createdAt: EpochMillis): void {
    const { id, name } = run;
    if (this.#taken.get({ id, name, isNew: claimedFrom === null ? 1 : 0 }) !== undefined) throw busy(name);
    const values = {
      id,
      name,
      contentKey: run.contentKey,
      named: run.named ? 1 : 0,
      launch: run.launch,
      served: run.served ? 1 : 0,
      outDir: run.outDir,
      tags: JSON.stringify(run.tags),
    };
    if (claimedFrom === null) this.#insert.run({ ...values, createdAt });
    else if (this.#claim.run({ ...values, claimedFrom }).changes === 0) throw busy(name);
  }
}

export function busy(name: string): InputError {
  const message = `run "${name}" was just taken by another kilnwatt; wait until that one ends, or choose another --name`;
  return new InputError(message, { code: 'run_busy' });
}

const SELECT = `
  SELECT runs.*, (
    SELECT coalesce(json_group_object(state, n), '{}')
    FROM (SELECT state, count(*) AS n FROM jobs WHERE run_id = runs.id GROUP BY state)
  ) AS counts
  FROM runs`;

const RUNS_OF_JOBS = '(SELECT run_id FROM jobs WHERE id IN (SELECT value FROM json_each(?)))';

function hasJobIn(states: readonly JobState[]): string {
  const list = states.map((state) => `'${state}'`).join(', ');
  return `EXISTS (SELECT 1 FROM jobs WHERE run_id = runs.id AND state IN (${list}))`;
}

function optional(row: Row | undefined): RunRow | undefined {
  return row === undefined ? undefined : runOf(row);
}

function runOf(row: Row): RunRow {
  return {
    id: textOf(row, 'id'),
    name: textOf(row, 'name'),
    contentKey: textOf(row, 'content_key'),
    named: integerOf(row, 'named') === 1,
    createdAt: integerOf(row, 'created_at'),
    launch: textOf(row, 'launch'),
    served: integerOf(row, 'served') === 1,
    held: textOrNull(row, 'held'),
    outDir: textOf(row, 'out_dir'),
    tags: recordOf<string>(row, 'tags', 'string'),
    counts: countsOf(recordOf<number>(row, 'counts', 'number')),
  };
}
