import { readdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { absolutePath } from '../config-path.ts';
import { AppError, InputError, sentenceOf, UnavailableError } from '../errors.ts';
import type { Check, Lora, Model, ModelRegistry } from '../ports.ts';
import { checkModelsFolder } from './check.ts';
import { isMissing, modelBroken, modelMissing, notOnDisk } from './failure.ts';
import { FileHashes } from './hashes.ts';
import { readLora } from './lora.ts';
import { readPipelineFolder } from './pipeline-folder.ts';

export interface DiskRegistryOptions {
  readonly modelsDir: string;
  /** The folder of the models that come with kilnwatt; a model of the same name in `modelsDir` goes before. */
  readonly ownModelsDir?: string;
  /** Where digests of files are remembered. */
  readonly cacheFile: string;
  /** Brings a hub id onto this disk, or finds it there, and returns its folder; without `download` it only looks, and throws `model_missing`. */
  fetch?(hubId: string, options: { readonly download: boolean }): Promise<string>;
  log?(line: string): void;
}

/** Models as diffusers pipeline folders on this machine, and hub ids by way of `fetch`. Reads, never writes, a model. */
export class DiskRegistry implements ModelRegistry {
  readonly #options: DiskRegistryOptions;
  readonly #hashes: FileHashes;
  /** A model that is being read: two who ask at once wait for one reading of its gigabytes. */
  readonly #reading = new Map<string, Promise<Model>>();

  constructor(options: DiskRegistryOptions) {
    this.#options = { ...options, modelsDir: resolve(options.modelsDir) };
    this.#hashes = new FileHashes(options.cacheFile, (line) => options.log?.(line));
  }

  async resolve(name: string, { download = true }: { readonly download?: boolean } = {}): Promise<Model> {
    const asked = `${name} ${download}`;
    const under = this.#reading.get(asked);
    if (under !== undefined) return under;
    const reading = this.#locate(name, download)
      .then((found) => readPipelineFolder(found.name, found.path, this.#hashes))
      .finally(() => this.#reading.delete(asked));
    this.#reading.set(asked, reading);
    return reading;
  }

  resolveLora(name: string): Promise<Lora> {
    return readLora(name, join(this.#options.modelsDir, LORAS), this.#hashes);
  }

  async list(): Promise<readonly string[]> {
    const lists = await Promise.all(this.#folders().map(pipelinesIn));
    return [...new Set(lists.flat())].sort();
  }

  check(): Promise<readonly Check[]> {
    const { modelsDir, ownModelsDir } = this.#options;
    const own = async () => (ownModelsDir === undefined ? [] : pipelinesIn(ownModelsDir));
    return checkModelsFolder(modelsDir, () => pipelinesIn(modelsDir), own);
  }

  #folders(): readonly string[] {
    const { modelsDir, ownModelsDir } = this.#options;
    return ownModelsDir === undefined ? [modelsDir] : [modelsDir, ownModelsDir];
  }

  /** The first of: a path, a name in the models folder or among our own, a folder below the current one, a hub id. */
  async #locate(name: string, download: boolean): Promise<{ readonly name: string; readonly path: string }> {
    if (PATH.test(name)) return pathOf(name);
    for (const folder of NAME.test(name) ? this.#folders() : []) {
      const path = join(folder, name);
      if ((await kindAt(path)) === 'folder') return { name, path };
    }
    if ((await kindAt(join(name, INDEX))) === 'file') return { name: basename(resolve(name)), path: resolve(name) };
    if (HUB_ID.test(name)) return { name, path: await this.#fetch(name, download) };
    if ((await kindAt(name)) === 'file') return pathOf(name);
    throw modelMissing(name, this.#options.modelsDir, await this.list());
  }

  async #fetch(hubId: string, download: boolean): Promise<string> {
    const unreachable = (reason: string, cause?: unknown): UnavailableError =>
      new UnavailableError(
        `the model ${hubId} is not in ${this.#options.modelsDir} and could not be fetched (${reason}): look at the network, or put its folder there`,
        { code: 'model_unreachable', cause },
      );
    if (this.#options.fetch === undefined) throw download ? unreachable('fetching is switched off') : notOnDisk(hubId);
    try {
      return resolve(await this.#options.fetch(hubId, { download }));
    } catch (error) {
      throw error instanceof AppError ? error : unreachable(sentenceOf(error), error);
    }
  }
}

/** Names of the pipelines in a folder and one level below (`org/name`). */
async function pipelinesIn(folder: string): Promise<readonly string[]> {
  const lists = await Promise.all((await foldersIn(folder)).map((name) => pipelinesAt(folder, name)));
  return lists.flat();
}

async function pipelinesAt(folder: string, name: string): Promise<readonly string[]> {
  if ((await kindAt(join(folder, name, INDEX))) === 'file') return [name];
  const below = await foldersIn(join(folder, name));
  const found = await Promise.all(below.map((part) => kindAt(join(folder, name, part, INDEX))));
  return below.filter((_, index) => found[index] === 'file').map((part) => `${name}/${part}`);
}

const INDEX = 'model_index.json';
/** In the models folder. */
const LORAS = 'loras';
/** What a user can only mean as a path. */
const PATH = /^(\/|~$|~\/|\.{1,2}$|\.{1,2}\/)/;
/** One name, or `org/name`; never out of the models folder. */
const NAME = /^[^/\\.][^/\\]*(\/[^/\\.][^/\\]*)?$/;
const HUB_ID = /^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/;

async function pathOf(name: string): Promise<{ readonly name: string; readonly path: string }> {
  const path = absolutePath(name, process.cwd(), homedir());
  const kind = await kindAt(path);
  if (kind === 'folder') return { name: basename(path), path };
  if (kind === 'file')
    throw modelBroken(path, 'it is a single file', { mend: 'give the folder of a diffusers pipeline' });
  throw new InputError(`there is no model folder at ${path}: give the folder of a diffusers pipeline`, {
    code: 'model_missing',
  });
}

async function kindAt(path: string): Promise<'folder' | 'file' | undefined> {
  try {
    const found = await stat(path);
    return found.isDirectory() ? 'folder' : 'file';
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw modelBroken(path, sentenceOf(error), { cause: error, mend: 'give yourself the right to read it' });
  }
}

/** Visible folders and links; none where there is no such folder. */
async function foldersIn(path: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(path, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory() || entry.isSymbolicLink());
    return folders.map((entry) => entry.name).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (isMissing(error)) return [];
    throw modelBroken(path, sentenceOf(error), { cause: error, mend: 'give yourself the right to read it' });
  }
}
