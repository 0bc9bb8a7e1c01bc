import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InputError, sentenceOf } from '../errors.ts';
import { isMissing } from '../model/failure.ts';
import type { PlannedRun } from '../submission.ts';
import type { App } from './app.ts';

/**
 * Looks at an absolute path before anything is made, so that a night's run does not end at it. Makes nothing.
 * @throws InputError
 */
export async function requireSheetPath(path: string): Promise<void> {
  if (!/\.png$/i.test(path)) throw refusal(`names a file that ends in .png, not "${path}"`);
  if ((await kindAt(path)) === 'folder') throw refusal(`names a file, and ${path} is a folder`);
  let folder = dirname(path);
  while ((await kindAt(folder)) === 'nothing') folder = dirname(folder);
  if ((await kindAt(folder)) === 'file') throw refusal(`cannot be below ${folder}, which is a file`);
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw refusal(`cannot be written in ${folder} (${sentenceOf(cause)})`);
  }
}

/** A sheet replaces what is at its path; a picture of the run itself is no such thing. */
export function refuseSheetOver({ plan, jobs }: PlannedRun, path: string): void {
  const pictures = [...plan.done.map((row) => row.path), ...jobs.map((job) => job.target)];
  if (pictures.includes(path)) throw refusal(`would replace a picture of this run, ${path}; name another file`);
}

/**
 * One picture of all pictures of a run that are done and on the disk, with their prompts, at `path`.
 * @returns whether there was anything to draw
 * @throws StorageError; AppError `interrupted`
 */
export async function drawContactSheet(app: App, runId: string, path: string): Promise<boolean> {
  const store = await app.store();
  const pictures: { path: string; caption: string }[] = [];
  for (const row of await store.jobsOf(runId)) {
    if (row.state === 'done' && (await app.images.exists(row.path)))
      pictures.push({ path: row.path, caption: row.prompt });
  }
  if (pictures.length > 0) await app.contactSheets.draw({ path, pictures });
  return pictures.length > 0;
}

function refusal(sentence: string): InputError {
  return new InputError(sentence, { code: 'bad_flag', place: '--contact-sheet' });
}

async function kindAt(path: string): Promise<'folder' | 'file' | 'nothing'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (isMissing(error)) return 'nothing';
    throw refusal(`cannot be looked at (${sentenceOf(error)})`);
  }
}
