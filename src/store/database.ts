import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StorageError, sentenceOf } from '../errors.ts';
import { makeFolderSync } from '../process/folder.ts';
import { brokenStore, storageErrorOf } from './failure.ts';
import { APPLICATION_ID, MIGRATIONS } from './migrations.ts';
import { integerOf, textOf } from './row.ts';

/** How long one process waits for another's short transaction. */
const BUSY_MS = 15_000;
/** The log file is cut back to this after a large transaction. */
const WAL_BYTES = 4 * 1024 * 1024;

/**
 * Opens the file, makes it where there is none, and brings an older one up to date.
 * @throws StorageError `not_writable`, `disk_full`, `store_broken`, `store_newer`, `store_busy`
 */
export function openDatabase(path: string): DatabaseSync {
  makeFolderOf(path);
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { timeout: BUSY_MS, enableForeignKeyConstraints: true });
    refuseForeign(db, path);
    useWriteAheadLog(db, path);
    db.exec(`PRAGMA synchronous = FULL; PRAGMA journal_size_limit = ${WAL_BYTES}`);
    migrate(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw storageErrorOf(error, path);
  }
}

/** All or nothing; the write lock is taken at once, so that a reader never has to be turned into a writer. */
export function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    rollBack(db);
    throw error;
  }
}

/** SQLite has rolled back by itself after some errors (a full disk, for one). */
export function rollBack(db: DatabaseSync): void {
  if (db.isTransaction) db.exec('ROLLBACK');
}

function makeFolderOf(path: string): void {
  try {
    makeFolderSync(dirname(path));
  } catch (error) {
    const message = `the folder of ${path} cannot be made (${sentenceOf(error)}); choose another --data-dir`;
    throw new StorageError(message, { code: 'not_writable', cause: error });
  }
}

function refuseForeign(db: DatabaseSync, path: string): void {
  // In this order: a process that makes the file right now writes both in one transaction.
  const tables = integerOf(db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() ?? {}, 'n');
  const id = integerOf(db.prepare('PRAGMA application_id').get() ?? {}, 'application_id');
  if (id !== APPLICATION_ID && tables > 0) throw brokenStore(path, 'it belongs to another program');
}

/**
 * Two processes that make the file at the same moment: the change of the journal mode is the one
 * statement that does not wait for the other's lock, so it is tried again here.
 */
function useWriteAheadLog(db: DatabaseSync, path: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let left = BUSY_MS; ; left -= 20) {
    try {
      const mode = textOf(db.prepare('PRAGMA journal_mode = WAL').get() ?? {}, 'journal_mode');
      if (mode === 'wal') return;
      const message = `${path} lies on a file system without shared memory (journal mode ${mode}); use a --data-dir on a local disk`;
      throw new StorageError(message, { code: 'not_writable' });
    } catch (error) {
      if (left <= 0 || storageErrorOf(error, path).code !== 'store_busy') throw error;
      Atomics.wait(pause, 0, 0, 20);
    }
  }
}

function migrate(db: DatabaseSync, path: string): void {
  if (versionOf(db, path) === MIGRATIONS.length) return;
  inTransaction(db, () => {
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    db.exec('CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT');
    const record = db.prepare('INSERT INTO migrations VALUES (?, unixepoch() * 1000)');
    for (let version = versionOf(db, path); version < MIGRATIONS.length; version++) {
      db.exec(MIGRATIONS[version] ?? '');
      record.run(version + 1);
    }
  });
}

function versionOf(db: DatabaseSync, path: string): number {
  const made = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'migrations'").get();
  if (made === undefined) return 0;
  const version = integerOf(db.prepare('SELECT coalesce(max(version), 0) AS n FROM migrations').get() ?? {}, 'n');
  if (version <= MIGRATIONS.length) return version;
  const message = `${path} was written by a newer kilnwatt (schema ${version}, this one knows ${MIGRATIONS.length}); update kilnwatt`;
  throw new StorageError(message, { code: 'store_newer' });
}
