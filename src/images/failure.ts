import { AppError, StorageError } from '../errors.ts';

/** What a file system says when there is no room, and when it will not let us write. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);
const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS', 'ENAMETOOLONG', 'EISDIR', 'ELOOP']);
const FILE_IN_THE_WAY = new Set(['ENOTDIR', 'EEXIST']);

/** The error to throw for a failed step on `path`; what is no file system's error comes back as it is. */
export function storageFailure(error: unknown, path: string): unknown {
  const code = errnoOf(error);
  if (error instanceof AppError || code === undefined) return error;
  if (FULL.has(code)) return diskFull(path, error);
  if (REFUSED.has(code) || FILE_IN_THE_WAY.has(code)) {
    const other = 'choose another folder with --out';
    const mend = FILE_IN_THE_WAY.has(code)
      ? `a file stands where a folder is needed; ${other}`
      : `give the folder write permission or ${other}`;
    return new StorageError(`${path} cannot be written (${code}): ${mend}`, { code: 'not_writable', cause: error });
  }
  return new StorageError(
    `${path} could not be written (${code}): look at the disk, then start the same command again`,
    {
      code: 'storage_failed',
      cause: error,
    },
  );
}

export function diskFull(path: string, cause?: unknown): StorageError {
  const mend = 'free some space or choose another folder with --out, then start the same command again';
  return new StorageError(`the disk has no room for ${path}: ${mend}`, { code: 'disk_full', cause });
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
