import { createHash } from 'node:crypto';
import { lstatSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, sentenceOf } from '../errors.ts';
import { makeFolderSync } from '../process/folder.ts';

/** The system's limit for the path of a socket, without the byte that ends it. */
const LONGEST_BYTES = 107;

/**
 * Where the server of a data folder listens: `<runtime folder>/<hash>.sock`. One data folder has one
 * path, however it is spelled. Makes the runtime folder, which must be this user's alone: whoever can
 * write there could put a server of his own in our place.
 *
 * @throws ConfigError `runtime_dir_unsafe`, `socket_path_too_long`
 */
export function socketPathFor(dataDir: string, runtimeDir: string): string {
  makeFolderSync(dataDir);
  const hash = createHash('sha256').update(realpathSync(dataDir)).digest('hex').slice(0, 16);
  const path = join(runtimeDir, `${hash}.sock`);
  requireShort(path);
  requirePrivate(runtimeDir);
  return path;
}

/** @throws ConfigError `socket_path_too_long` */
export function requireShort(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= LONGEST_BYTES) return;
  throw new ConfigError(
    `runtime_dir: the socket ${path} has a path of ${bytes} bytes and ${LONGEST_BYTES} are allowed; set runtime_dir to a shorter one.`,
    { code: 'socket_path_too_long' },
  );
}

function requirePrivate(folder: string): void {
  const unsafe = (reason: string, cause?: unknown) =>
    new ConfigError(`runtime_dir: ${folder} ${reason}; set runtime_dir to a folder of your own with mode 0700.`, {
      code: 'runtime_dir_unsafe',
      cause,
    });
  try {
    makeFolderSync(folder, 0o700);
  } catch (error) {
    throw unsafe(`cannot be made (${sentenceOf(error)})`, error);
  }
  const found = lstatSync(folder);
  if (!found.isDirectory()) throw unsafe('is no folder');
  if (found.uid !== process.getuid?.()) throw unsafe('belongs to another user');
  if ((found.mode & 0o022) !== 0) throw unsafe('can be written by others');
}
