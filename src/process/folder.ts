import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface FolderOptions {
  /** Less what the user's mask takes. */
  readonly mode?: number;
  /** Makes one folder; handed in by a test that somebody else is to be faster than. */
  mkdir?(folder: string, options: { readonly mode: number }): Promise<unknown>;
}

/**
 * Makes a folder and those above it that are not there. Node's own `recursive` never returns where a folder that is
 * there answers that nothing can be made in it with ENOENT, as `/proc` does.
 * @returns the folders made, outermost first
 * @throws the system's error of the one that could not be made
 */
export async function makeFolder(folder: string, options: FolderOptions = {}): Promise<readonly string[]> {
  if (await isFolder(folder)) return [];
  const above = dirname(folder);
  const made = above === folder ? [] : await makeFolder(above, options);
  try {
    await (options.mkdir ?? mkdir)(folder, { mode: options.mode ?? ANYBODY });
    return [...made, folder];
  } catch (error) {
    // Somebody else made it in between.
    if (await isFolder(folder)) return made;
    throw error;
  }
}

/** As `makeFolder`, for a folder on whose disk this process lives anyway. */
export function makeFolderSync(folder: string, mode = ANYBODY): void {
  if (isFolderSync(folder)) return;
  const above = dirname(folder);
  if (above !== folder) makeFolderSync(above, mode);
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (!isFolderSync(folder)) throw error;
  }
}

const ANYBODY = 0o777;

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function isFolderSync(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
