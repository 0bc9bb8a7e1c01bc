import { mkdirSync, statSync } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The part of the file system that a test hands in: one that is mounted read-only cannot be made everywhere. */
export interface FolderMaker {
  mkdir(folder: string, options: { readonly mode: number }): Promise<unknown>;
}

/**
 * Makes a folder and those above it that are not there. Node's own `recursive` never returns where a folder that is
 * there answers that nothing can be made in it with ENOENT, as `/proc` does.
 * @returns the folders made, outermost first
 * @throws the system's error of the one that could not be made
 */
export async function makeFolder(
  folder: string,
  { mode = ANYBODY, maker = { mkdir } }: { readonly mode?: number; readonly maker?: FolderMaker } = {},
): Promise<readonly string[]> {
  const made: string[] = [];
  for (const missing of await missingOf(folder)) {
    try {
      await maker.mkdir(missing, { mode });
      made.push(missing);
    } catch (error) {
      // Somebody else made it in between.
      if (!(await isFolder(missing))) throw error;
    }
  }
  return made;
}

/** As `makeFolder`, for a folder on whose disk this process lives anyway. */
export function makeFolderSync(folder: string, mode = ANYBODY): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
  if (dirname(folder) !== folder) makeFolderSync(dirname(folder), mode);
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw error;
  }
}

async function missingOf(folder: string): Promise<readonly string[]> {
  if (await isFolder(folder)) return [];
  const above = dirname(folder);
  return above === folder ? [folder] : [...(await missingOf(above)), folder];
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Less what the user's mask takes. */
const ANYBODY = 0o777;
