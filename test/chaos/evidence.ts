import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { PYTHON } from '../support/python.ts';

/** What is there when everything has ended, whatever anybody says of it. */
export interface Evidence {
  readonly jobs: readonly JobEvidence[];
  readonly entries: readonly EntryEvidence[];
  readonly pictures: readonly PictureEvidence[];
  /** Files in the folder of the pictures that are no pictures: temporary ones. */
  readonly leftovers: readonly string[];
}

export interface JobEvidence {
  readonly id: string;
  readonly state: string;
  readonly path: string;
  /** Why it failed; null where no reason is given. */
  readonly reason: string | null;
}

export interface EntryEvidence {
  readonly job: string;
  readonly batch: string;
  readonly size: number;
  readonly active: boolean;
}

export interface PictureEvidence {
  readonly path: string;
  /** What its own metadata says that it is the picture of. */
  readonly job: string | null;
  /** Why it cannot be decoded to its last pixel; null where it can. */
  readonly fault: string | null;
}

const PICTURE = /\.(png|jpe?g|webp)$/;
const JOBS = 'SELECT id, state, path, error_code AS code, error_message AS message FROM jobs';
const ENTRIES = `
  SELECT job_id AS job, batch_id AS batch, batch_size AS size, kind = 'active' AS active
  FROM entries WHERE job_id IS NOT NULL`;

/** Reads the store's file beside the program, and every picture with Pillow: none of kilnwatt's own code. */
export async function gather(store: string, outputs: string): Promise<Evidence> {
  return { ...rowsOf(store), pictures: await decoded(outputs), leftovers: leftoversIn(outputs) };
}

/** Opens and decodes every picture below a folder, all in one process. */
export async function decoded(folder: string): Promise<readonly PictureEvidence[]> {
  const program = join(import.meta.dirname, 'read_pictures.py');
  const { stdout } = await promisify(execFile)(PYTHON, [program, folder], { maxBuffer: 2 ** 28 });
  return JSON.parse(stdout) as readonly PictureEvidence[];
}

/** Every other file below it. */
export function leftoversIn(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !PICTURE.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function rowsOf(store: string): Pick<Evidence, 'jobs' | 'entries'> {
  // A program that never came up has none.
  if (!existsSync(store)) return { jobs: [], entries: [] };
  const database = new DatabaseSync(store, { readOnly: true });
  try {
    const jobs = database.prepare(JOBS).all();
    const entries = database.prepare(ENTRIES).all();
    return {
      jobs: jobs.map(({ id, state, path, code, message }) => ({
        id: String(id),
        state: String(state),
        path: String(path),
        reason: code && message ? `${code}: ${message}` : null,
      })),
      entries: entries.map(({ job, batch, size, active }) => ({
        job: String(job),
        batch: String(batch),
        size: Number(size),
        active: active === 1,
      })),
    };
  } finally {
    database.close();
  }
}
