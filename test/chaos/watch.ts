import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** How things stand at one moment. */
export interface Sample {
  /** Jobs that are done, or failed for good. */
  readonly settled: number;
  /** By id of a job that is being made, its batch. */
  readonly running: ReadonlyMap<string, string>;
  /** Of those, the deaths that the program counts against each. */
  readonly deaths: ReadonlyMap<string, number>;
}

const NOTHING: Sample = { settled: 0, running: new Map(), deaths: new Map() };

// By run, because that is what there is an index for.
const SETTLED = `
  SELECT count(*) AS n FROM jobs
  WHERE run_id IN (SELECT id FROM runs) AND state IN ('done', 'failed', 'cancelled')`;
const RUNNING = `
  SELECT id, batch_id AS batch, deaths FROM jobs WHERE run_id IN (SELECT id FROM runs) AND state = 'running'`;
const STATES = 'SELECT id, state FROM jobs WHERE id IN (SELECT value FROM json_each(?))';
const WAITING = `SELECT id FROM jobs WHERE run_id IN (SELECT id FROM runs) AND state = 'queued' ORDER BY id`;

/** Looks at the store beside the program, and remembers which batches each job was seen in. */
export class Watch {
  readonly begun = new Map<string, Set<string>>();
  /** Every batch that was seen, in the order of its beginning. */
  readonly batches = new Set<string>();
  readonly #path: string;
  #database: DatabaseSync | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  look(): Sample {
    return this.#read((database) => this.#sample(database)) ?? NOTHING;
  }

  /** By job, its state; an unknown one has none. */
  statesOf(jobs: readonly string[]): ReadonlyMap<string, string> {
    const rows = this.#read((database) => database.prepare(STATES).all(JSON.stringify(jobs))) ?? [];
    return new Map(rows.map(({ id, state }) => [String(id), String(state)]));
  }

  settledOf(jobs: readonly string[]): ReadonlySet<string> {
    const states = this.statesOf(jobs);
    return new Set(jobs.filter((job) => SETTLED_STATES.has(states.get(job) ?? '')));
  }

  /** Those that wait to be made. */
  waiting(): readonly string[] {
    return (this.#read((database) => database.prepare(WAITING).all()) ?? []).map(({ id }) => String(id));
  }

  close(): void {
    this.#database?.close();
    this.#database = null;
  }

  /** @returns undefined while there is no store yet */
  #read<T>(read: (database: DatabaseSync) => T): T | undefined {
    if (this.#database === null && !existsSync(this.#path)) return undefined;
    try {
      this.#database ??= new DatabaseSync(this.#path, { readOnly: true, timeout: BUSY_MS });
      return read(this.#database);
    } catch (error) {
      // The file is there a moment before its tables.
      if (error instanceof Error && error.message.includes('no such table')) return undefined;
      throw error;
    }
  }

  #sample(database: DatabaseSync): Sample {
    const rows = database.prepare(RUNNING).all();
    const running = new Map(rows.map(({ id, batch }) => [String(id), String(batch)]));
    for (const [job, batch] of running) {
      this.batches.add(batch);
      const seen = this.begun.get(job);
      if (seen === undefined) this.begun.set(job, new Set([batch]));
      else seen.add(batch);
    }
    const deaths = new Map(rows.map((row) => [String(row.id), Number(row.deaths)]));
    return { settled: Number(database.prepare(SETTLED).get()?.n), running, deaths };
  }
}

const SETTLED_STATES: ReadonlySet<string> = new Set(['done', 'failed', 'cancelled']);
const BUSY_MS = 2_000;
