import { access, constants, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { makeFolder } from '../process/folder.ts';
import { orMissing } from './failure.ts';
import { syncFolder } from './place.ts';

/** Makes a folder with those above it, and syncs every folder that got a new name in it. */
export async function makeSyncedFolder(folder: string): Promise<void> {
  for (const made of await makeFolder(folder)) await syncFolder(dirname(made));
}

/** Fails with the system's reason where nothing can be made in the folder, or in the nearest above it that is there; gives that one. */
export async function requireWritable(folder: string): Promise<string> {
  const present = await nearest(folder);
  // The slash refuses a file in place of the folder.
  await access(`${present}/`, constants.W_OK);
  return present;
}

/** The folder itself, or the one that a file with this name would be in. */
export async function folderOf(path: string): Promise<string> {
  const found = await orMissing(stat(path));
  return found?.isDirectory() === true ? path : dirname(path);
}

async function nearest(folder: string): Promise<string> {
  const found = await orMissing(stat(folder));
  return found === undefined && basename(folder) !== '' ? nearest(dirname(folder)) : folder;
}
