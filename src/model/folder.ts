import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { isMissing, modelBroken, modelUnreadable } from './failure.ts';

/** A pipeline folder: which files are where, and its JSON files, validated as they are read. */
export class Folder {
  readonly path: string;
  readonly #files: ReadonlyMap<string, readonly string[]>;

  private constructor(path: string, files: ReadonlyMap<string, readonly string[]>) {
    this.path = path;
    this.#files = files;
  }

  /** @throws InputError `model_broken` */
  static async open(path: string): Promise<Folder> {
    try {
      const entries = await readdir(path, { withFileTypes: true });
      const names = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink()).map((entry) => entry.name);
      const top = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
      const below = await Promise.all(names.map(async (name) => [name, await namesIn(join(path, name))] as const));
      return new Folder(path, new Map([['', top], ...below]));
    } catch (error) {
      throw modelUnreadable(path, error);
    }
  }

  /** Names of the files in a folder one level down, sorted; none where there is no such folder. */
  filesIn(name: string): readonly string[] {
    return this.#files.get(name) ?? [];
  }

  has(file: string): boolean {
    const parts = file.split('/');
    return this.filesIn(parts.slice(0, -1).join('/')).includes(parts.at(-1) ?? '');
  }

  /** @throws InputError `model_broken` where the file is missing, no JSON, or not what it should be */
  async json<T>(file: string, schema: z.ZodType<T>): Promise<T> {
    const path = join(this.path, file);
    const content = await readJson(path);
    const result = schema.safeParse(content);
    if (!result.success) throw modelBroken(path, z.prettifyError(result.error).replaceAll('\n', ' '));
    return result.data;
  }

  /** As {@link json}; undefined where the file is missing. */
  async jsonIfPresent<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
    return this.has(file) ? this.json(file, schema) : undefined;
  }
}

/** A file in place of a folder has nothing in it. */
async function namesIn(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return parsePythonJson(await readFile(path, 'utf8'));
  } catch (error) {
    throw modelUnreadable(path, error);
  }
}

/**
 * JSON as Python writes it, with numbers that JSON does not know, which become null: diffusers saves a DPM-Solver with
 * `"lambda_min_clipped": -Infinity`.
 */
export function parsePythonJson(text: string): unknown {
  return JSON.parse(text.replace(STRING_OR_NO_NUMBER, (found) => (found.startsWith('"') ? found : 'null')));
}

const STRING_OR_NO_NUMBER = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g;
