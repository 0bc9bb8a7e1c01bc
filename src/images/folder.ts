import { access, constants, mkdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { errnoOf, orMissing } from './failure.ts';
import { syncFolder } from './place.ts';

/** The part of the file system that a test hands in: one that is mounted read-only cannot be made everywhere. */
export interface Disk {
  mkdir(folder: string, options: { readonly recursive: true }): Promise<string | undefined>;
  access(path: string, mode: number): Promise<void>;
}

/** Makes a folder with those above it, and syncs every folder that got a new name in it. */
export async function makeFolder(folder: string, disk: Disk = { mkdir, access }): Promise<void> {
  const first = await disk.mkdir(folder, { recursive: true }).catch(async (error: unknown) => {
    // On a read-only file system it says only that there is no such folder; the one above tells why.
    if (errnoOf(error) === 'ENOENT') await requireWritable(folder, disk);
    throw error;
  });
  if (first === undefined) return;
  for (let made = folder; made !== dirname(first); made = dirname(made)) await syncFolder(dirname(made));
}

/** Fails with the system's reason where nothing can be made in the folder, or in the nearest above it that is there; gives that one. */
export async function requireWritable(folder: string, disk: Pick<Disk, 'access'> = { access }): Promise<string> {
  const present = await nearest(folder);
  // The slash refuses a file in place of the folder.
  await disk.access(`${present}/`, constants.W_OK);
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
