import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, extname, isAbsolute, join } from 'node:path';
import { absolutePath } from '../config-path.ts';
import { InputError, sentenceOf } from '../errors.ts';
import type { Lora } from '../ports.ts';
import { isMissing, loraBroken, loraMissing, loraUnsafe } from './failure.ts';
import type { FileHashes } from './hashes.ts';
import { checkSafetensors } from './safetensors.ts';
import { isPickle } from './weights.ts';

/**
 * Finds a LoRA by the path of its file, or by its name in the folder, and looks whether the file is whole. What is in
 * it, the worker compares with the model.
 * @throws InputError `lora_missing`, `lora_unsafe`, `lora_broken`
 */
export async function readLora(name: string, folder: string, hashes: FileHashes): Promise<Lora> {
  const path = PATH.test(name) ? absolutePath(name, process.cwd(), homedir()) : await named(name, folder);
  if (path === undefined || !(await isThere(path))) throw loraMissing(name, folder, await lorasIn(folder));
  if (isPickle(path)) throw loraUnsafe(path);
  try {
    await checkSafetensors(path);
    const [digest] = await hashes.of([path]);
    const { size: bytes } = await stat(path);
    return { name: basename(path, extname(path)), path, hash: `sha256:${digest}`, bytes };
  } catch (error) {
    throw loraBroken(path, reasonOf(error, path), error);
  }
}

/** What a user can only mean as a path. */
const PATH = /^(\/|~\/|\.{1,2}\/)/;
const ENDING = '.safetensors';

/** Below the folder, and never out of it. */
async function named(name: string, folder: string): Promise<string | undefined> {
  if (isAbsolute(name) || name.split('/').some((part) => part === '' || part.startsWith('.'))) return undefined;
  for (const file of [name, `${name}${ENDING}`]) if (await isThere(join(folder, file))) return join(folder, file);
  return undefined;
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw loraBroken(path, sentenceOf(error), error);
  }
}

/** Names of the LoRAs in the folder, and in those below it. */
async function lorasIn(folder: string): Promise<readonly string[]> {
  try {
    const files = await readdir(folder, { recursive: true });
    return files.filter((file) => file.endsWith(ENDING)).map((file) => file.slice(0, -ENDING.length));
  } catch {
    return []; // only names for a suggestion
  }
}

function reasonOf(error: unknown, path: string): string {
  const inner = error instanceof InputError ? /\((.*)\)/.exec(error.message)?.[1] : undefined;
  return inner ?? sentenceOf(error).replace(`${path}: `, '');
}
