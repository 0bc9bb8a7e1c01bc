import { link, open, readFile, rename, stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { errnoOf } from './failure.ts';

export type Link = (from: string, to: string) => Promise<void>;

/**
 * Gives a complete file its final name, in one step and only if the name is free: false says that it is taken.
 * `from` may still exist afterwards. `owner` tells whose a half-made placement is, where there are no links.
 */
export async function placeFile(from: string, to: string, owner: string, makeLink: Link = link): Promise<boolean> {
  try {
    await makeLink(from, to);
    return true;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'EEXIST') return false;
    if (code === undefined || !NO_LINKS.has(code)) throw error;
    return renameExclusively(from, to, owner);
  }
}

/** `a.png`, `a-2.png`, `a-3.png` … */
export function numbered(path: string, number: number): string {
  if (number === 1) return path;
  const extension = extname(path);
  return `${path.slice(0, path.length - extension.length)}-${number}${extension}`;
}

/** The text of a file of ours; undefined for what is no plain file, or larger than any text that we write. */
export async function smallText(path: string): Promise<string | undefined> {
  const found = await stat(path);
  return found.isFile() && found.size <= LARGEST_TEXT ? readFile(path, 'utf8') : undefined;
}

/** Syncs a folder, so that the names in it survive a power cut. Some file systems cannot, and keep names by themselves. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    const code = errnoOf(error);
    if (code !== 'EINVAL' && code !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}

const LARGEST_TEXT = 4 * 1024 * 1024;

/** What FAT, some network shares and mounts from Windows answer to a link. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EMLINK']);

/**
 * Takes the name with a file that is made exclusively, then renames over that. A kill in between leaves the
 * reservation, which names its owner, so that the owner's next try goes on where this one ended.
 */
async function renameExclusively(from: string, to: string, owner: string): Promise<boolean> {
  const reservation = `kilnwatt keeps this name for ${owner}\n`;
  try {
    const handle = await open(to, 'wx');
    await handle.writeFile(reservation).finally(() => handle.close());
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    if ((await smallText(to)) !== reservation) return false;
  }
  await rename(from, to);
  return true;
}
