import { open, rename, rm } from 'node:fs/promises';
import { StorageError, sentenceOf } from '../errors.ts';

/** Characters that are written at once. */
const PIECE = 65_536;

/**
 * Writes lines to a file that is there only when it is whole, and then in place of one of that name.
 * @throws StorageError `not_writable`; whatever the lines throw
 */
export async function writeWhole(path: string, lines: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const staged = `${path}.${process.pid}.tmp`;
  const handle = await open(staged, 'w').catch((error: unknown) => {
    throw unwritable(path, error);
  });
  try {
    let piece = '';
    for await (const line of lines) {
      piece += `${line}\n`;
      if (piece.length < PIECE) continue;
      await handle.writeFile(piece);
      piece = '';
    }
    await handle.writeFile(piece);
    await handle.sync();
    await handle.close();
    await rename(staged, path);
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(staged, { force: true });
    throw error instanceof Error && 'syscall' in error ? unwritable(path, error) : error;
  }
}

function unwritable(path: string, error: unknown): StorageError {
  const message = `cannot write ${path}: ${sentenceOf(error)}; name a file in a folder that is there and can be written to`;
  return new StorageError(message, { code: 'not_writable', cause: error });
}
