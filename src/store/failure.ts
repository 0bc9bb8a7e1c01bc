import { AppError, StorageError, sentenceOf } from '../errors.ts';

/** SQLite's primary result codes that a user can do something about. */
const SQLITE = {
  busy: 5,
  locked: 6,
  readonly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
};
/** The shared-memory file could not grow, which is how a full disk shows first in WAL mode. */
const IOERR_SHMSIZE = 4874;

/** Says in one sentence what went wrong with the file at `path`; an AppError is left as it is. */
export function storageErrorOf(error: unknown, path: string): AppError {
  if (error instanceof AppError) return error;
  const result = resultCode(error);
  const primary = result === undefined ? undefined : result & 0xff;
  const detail = sentenceOf(error);
  const make = (code: string, message: string, retryable = false) =>
    new StorageError(message, { code, retryable, cause: error });

  if (primary === SQLITE.full || result === IOERR_SHMSIZE) {
    return make('disk_full', `the disk is full: ${path} cannot grow; free some space`);
  }
  if (primary === SQLITE.readonly || primary === SQLITE.cannotOpen) {
    return make(
      'not_writable',
      `${path} cannot be opened for writing (${detail}); check the folder and its permissions`,
    );
  }
  if (primary === SQLITE.busy || primary === SQLITE.locked) {
    return make('store_busy', `${path} is held by another process (${detail}); try again when it has finished`, true);
  }
  if (primary === SQLITE.corrupt || primary === SQLITE.notADatabase) return brokenStore(path, detail, error);
  if (primary === SQLITE.ioError) {
    return make('io_error', `${path} cannot be read or written (${detail}); check the disk and its cable or mount`);
  }
  return make('internal', `${path}: ${detail}; please report this`);
}

export function brokenStore(path: string, detail: string, cause?: unknown): StorageError {
  const message = `${path} is damaged or no kilnwatt database (${detail}); restore a copy or move it away`;
  return new StorageError(message, { code: 'store_broken', cause });
}

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error)) return undefined;
  return typeof error.errcode === 'number' ? error.errcode : undefined;
}
