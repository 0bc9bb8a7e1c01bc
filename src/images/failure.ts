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
  ['ENOTDIR', IN_THE_WAY],
  ['EEXIST', IN_THE_WAY],
  ['EISDIR', `a folder stands where a file is needed; ${OTHER}`],
  ['ELOOP', `its links lead in a circle; ${OTHER}`],
  ['ENAMETOOLONG', 'the name is too long; shorten it with --pattern or --out'],
]);

/** The error to throw for a failed step on `path`; what is no file system's error comes back as it is. */
export function storageFailure(error: unknown, path: string): unknown {
  const code = errnoOf(error);
  if (error instanceof AppError || code === undefined) return error;
  if (FULL.has(code)) return diskFull(path, error);
  if (REFUSED.has(code)) {
    const sentence = `${path} cannot be written (${code}): ${mendOf(error)}`;
    return new StorageError(sentence, { code: 'not_writable', cause: error });
  }
  return new StorageError(
    `${path} could not be written (${code}): look at the disk, then start the same command again`,
    {
      code: 'storage_failed',
      cause: error,
    },
  );
}

/** What to do about a folder that takes no pictures. */
export function mendOf(error: unknown): string {
  return REFUSED.get(errnoOf(error) ?? '') ?? NO_RIGHT;
}

export function diskFull(path: string, cause?: unknown): StorageError {
  const mend = 'free some space or choose another folder with --out, then start the same command again';
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
