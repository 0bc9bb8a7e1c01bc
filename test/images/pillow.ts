import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PYTHON } from '../support/python.ts';

const run = promisify(execFile);

/** What Pillow reads in a picture. */
export interface Seen {
  readonly format: string;
  readonly size: readonly [number, number];
  readonly mode: string;
  readonly pixels: string;
  readonly icc: string;
  readonly text: Readonly<Record<string, string>>;
  readonly comment: readonly [string, string] | null;
  readonly history: string | null;
  readonly software: string | null;
  readonly xmp: string | null;
}

/** Has Pillow write small pictures of every kind into a folder. */
export async function makePictures(folder: string): Promise<void> {
  await run(PYTHON, [script('make.py'), folder]);
}

export async function readWithPillow(paths: readonly string[]): Promise<readonly Seen[]> {
  const { stdout } = await run(PYTHON, [script('read.py'), ...paths]);
  return JSON.parse(stdout);
}

function script(name: string): string {
  return fileURLToPath(new URL(`../fixtures/images/${name}`, import.meta.url));
}
