import { InputError } from '../errors.ts';
import type { App } from './app.ts';

/** Looks at the flag before anything is made. */
export function requirePng(path: string): void {
  if (/\.png$/i.test(path)) return;
  throw new InputError(`names a file that ends in .png, not "${path}"`, { code: 'bad_flag', place: '--contact-sheet' });
}

/**
 * One picture of all pictures of a run that are done and on the disk, with their prompts, at `path`.
 * @returns how many there are
 * @throws StorageError
 */
export async function drawContactSheet(app: App, runId: string, path: string): Promise<number> {
  const store = await app.store();
  const pictures: { path: string; caption: string }[] = [];
  for (const row of await store.jobsOf(runId)) {
    if (row.state === 'done' && (await app.images.exists(row.path)))
      pictures.push({ path: row.path, caption: row.prompt });
  }
  if (pictures.length > 0) await app.contactSheets.draw({ path, pictures });
  return pictures.length;
}
