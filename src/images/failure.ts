import { AppError, StorageError } from '../errors.ts';

/** What a file system says when there is no room, and when it will not let us write. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);
const OTHER = 'choose another folder with --out';
const NO_RIGHT = `give the folder write permission or ${OTHER}`;
const IN_THE_WAY = `a file stands where a folder is needed; ${OTHER}`;
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['EACCES', NO_RIGHT],
  ['EPERM', NO_RIGHT],
  ['EROFS', `the file system is mounted read-only; ${OTHER}`],
]);
/** What is wrong with the name of a picture, and not with the disk: no waiting mends it. */
const BAD_NAME: ReadonlyMap<string, string> = new Map([
  ['ENOTDIR', IN_THE_WAY],
  ['EEXIST', IN_THE_WAY],
  ['EISDIR', `a folder stands where a file is needed; ${OTHER}`],
  ['ELOOP', `its links lead in a circle; ${OTHER}`],
  ['ENAMETOOLONG', 'the name is too long; shorten it with --pattern or --out'],
]);
/** What a file of somebody else may answer. */
const UNREADABLE: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'ELOOP']);

/** The error to throw for a failed step on `path`; what is no file system's error comes back as it is. */
export function storageFailure(error: unknown, path: string): unknown {
  const code = errnoOf(error);
  if (error instanceof AppError || code === undefined) return error;
  if (FULL.has(code)) return diskFull(path, error);
  const sentence = `${path} cannot be written (${code}): ${mendOf(error)}`;
  if (REFUSED.has(code)) return new StorageError(sentence, { code: 'not_writable', cause: error });
  if (BAD_NAME.has(code)) return new StorageError(sentence, { code: 'bad_target', cause: error });
  return new StorageError(`${path} could not be written (${code}): look at the disk`, {
    code: 'storage_failed',
    cause: error,
  });
}

/** What to do about a folder that takes no pictures. */
export function mendOf(error: unknown): string {
  const code = errnoOf(error) ?? '';
  return REFUSED.get(code) ?? BAD_NAME.get(code) ?? NO_RIGHT;
}

export function diskFull(path: string, cause?: unknown): StorageError {
  const mend = 'free some space or choose another folder with --out';
  return new StorageError(`the disk has no room for ${path}: ${mend}`, { code: 'disk_full', cause });
}

export function folderGone(folder: string): StorageError {
  const mend = `mount its disk again, or make it anew (mkdir -p '${folder}')`;
  return new StorageError(`the folder ${folder} is gone: ${mend}`, { code: 'not_writable' });
}

/** A picture file that is cut short or is not what it should be. */
export function brokenImage(path: string, what: string): StorageError {
  return new StorageError(`${path} is no whole picture (${what}): it has to be made again`, { code: 'image_broken' });
}

/** `ENOENT` and its like, where a file system call failed. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** Undefined where there is nothing of that name. */
export async function orMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Null for what is there and may not be read: it is somebody else's. */
export async function orForeign<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (UNREADABLE.has(errnoOf(error) ?? '')) return null;
    throw error;
  }
}
