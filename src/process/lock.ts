import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageError, sentenceOf } from '../errors.ts';
import { makeFolderSync } from './folder.ts';

/** Held until `release()` or the end of the process, however it ends. */
export interface Lock {
  readonly path: string;
  /** May be called twice. */
  release(): void;
}

/**
 * Takes the lock, or returns undefined while another process (or this one) holds it.
 * The file stays behind and means nothing by itself: SQLite's lock on it is what counts, and the
 * system frees that even after SIGKILL. Nothing else in this process may open the file, because
 * closing any descriptor of it would drop the lock.
 *
 * @throws StorageError `lock_failed` when the folder cannot hold a lock
 */
export function tryLock(path: string): Lock | undefined {
  const database = open(path, PROBE_PATIENCE_MS);
  if (database === undefined) return undefined;
  held.add(database);
  return { path, release: () => release(database) };
}

/**
 * Says which launches are alive: each live process holds `<folder>/<launch id>.lock`.
 * Claim before the launch id is told to anyone, so that nobody asks too early.
 */
export class Presence {
  readonly #folder: string;
  readonly #launch: string;
  #lock: Lock | undefined;

  constructor(folder: string, launch: string) {
    this.#folder = folder;
    this.#launch = launch;
  }

  /** Makes this launch alive for everyone, and sweeps away the files of dead ones. May be called twice. */
  claim(): void {
    this.#lock ??= this.#claimed();
    for (const name of readdirSync(this.#folder)) {
      if (name.endsWith(SUFFIX)) this.isAlive(name.slice(0, -SUFFIX.length));
    }
  }

  /** Whether the process of that launch still lives. Removes the file of a dead one. */
  isAlive(launch: string): boolean {
    if (launch === this.#launch && this.#lock !== undefined) return true;
    const path = this.#pathOf(launch);
    if (!existsSync(path)) return false;
    const database = open(path, 0);
    if (database === undefined) return true;
    // Unlinked while the lock is held: a claim that opened the same file meanwhile sees it gone and starts again.
    rmSync(path, { force: true });
    database.close();
    return false;
  }

  /** May be called twice. */
  release(): void {
    if (this.#lock === undefined) return;
    rmSync(this.#lock.path, { force: true });
    this.#lock.release();
    this.#lock = undefined;
  }

  #claimed(): Lock {
    const path = this.#pathOf(this.#launch);
    for (let attempt = 0; attempt < CLAIM_ATTEMPTS; attempt += 1) {
      const lock = tryLock(path);
      if (lock !== undefined && existsSync(path)) return lock;
      lock?.release();
    }
    throw new StorageError(`${path}: another process claims the launch ${this.#launch}; start again.`, {
      code: 'lock_failed',
      retryable: true,
    });
  }

  #pathOf(launch: string): string {
    return join(this.#folder, `${launch}${SUFFIX}`);
  }
}

const SUFFIX = '.lock';
const CLAIM_ATTEMPTS = 5;

/**
 * {@link Presence.isAlive} holds the lock for less than a millisecond to find out.
 * Taking a lock waits longer than that, so that it never fails because of a look.
 */
const PROBE_PATIENCE_MS = 25;

/** Keeps locked databases from being collected, which would free a lock whose owner forgot the handle. */
const held = new Set<DatabaseSync>();

/** The database with its file locked, or undefined when another has the lock. */
function open(path: string, patience: number): DatabaseSync | undefined {
  let database: DatabaseSync | undefined;
  try {
    makeFolderSync(dirname(path), 0o700);
    // node:sqlite waits by default, and its waiting blocks the event loop.
    database = new DatabaseSync(path, { timeout: patience });
    // No journal beside the lock: nothing is ever written, and a killed process would leave it behind.
    database.exec('PRAGMA journal_mode = MEMORY');
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    if (isBusy(error)) return undefined;
    throw new StorageError(
      `${path}: cannot be locked (${sentenceOf(error)}); put the data folder on a local disk that you may write to.`,
      { code: 'lock_failed', cause: error },
    );
  }
}

function release(database: DatabaseSync): void {
  if (held.delete(database)) database.close();
}

const SQLITE_BUSY = 5;

function isBusy(error: unknown): boolean {
  // The low byte is the primary code; the rest says why, for example SQLITE_BUSY_RECOVERY.
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === SQLITE_BUSY;
}
