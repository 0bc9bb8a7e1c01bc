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

/** Looks at the store beside the program, and remembers which batches each job was seen in. */
export class Watch {
  readonly begun = new Map<string, Set<string>>();
  readonly #path: string;
  #database: DatabaseSync | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  look(): Sample {
    if (this.#database === null && !existsSync(this.#path)) return NOTHING;
    try {
      this.#database ??= new DatabaseSync(this.#path, { readOnly: true, timeout: BUSY_MS });
      return this.#sample(this.#database);
    } catch (error) {
      // The file is there a moment before its tables.
      if (error instanceof Error && error.message.includes('no such table')) return NOTHING;
      throw error;
    }
  }

  close(): void {
    this.#database?.close();
    this.#database = null;
  }

  #sample(database: DatabaseSync): Sample {
    const rows = database.prepare(RUNNING).all();
    const running = new Map(rows.map(({ id, batch }) => [String(id), String(batch)]));
    for (const [job, batch] of running) {
      const seen = this.begun.get(job);
      if (seen === undefined) this.begun.set(job, new Set([batch]));
      else seen.add(batch);
    }
    const deaths = new Map(rows.map((row) => [String(row.id), Number(row.deaths)]));
    return { settled: Number(database.prepare(SETTLED).get()?.n), running, deaths };
  }
}

const BUSY_MS = 2_000;
