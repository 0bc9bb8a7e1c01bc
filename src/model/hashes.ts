import { createHash, randomUUID } from 'node:crypto';
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { sentenceOf } from '../errors.ts';
import { makeFolder } from '../process/folder.ts';
import { isMissing } from './failure.ts';

/**
 * SHA-256 of files, remembered by path, size, modification time and inode, so that gigabytes of weights are read
 * once and not at every start. A cache that cannot be read or written costs time and nothing else.
 */
export class FileHashes {
  readonly #cacheFile: string;
  readonly #log: (line: string) => void;
  #known: Promise<Map<string, Known>> | undefined;

  constructor(cacheFile: string, log: (line: string) => void) {
    this.#cacheFile = cacheFile;
    this.#log = log;
  }

  /** Hex digests in the order of the paths. */
  async of(paths: readonly string[]): Promise<readonly string[]> {
    this.#known ??= this.#read();
    const known = await this.#known;
    const digests: string[] = [];
    let news = false;
    for (const path of paths) {
      const mark = await markOf(path);
      const before = known.get(path);
      const digest = before?.mark === mark ? before.sha256 : await digestOf(path);
      news ||= before?.mark !== mark;
      known.set(path, { mark, sha256: digest });
      digests.push(digest);
    }
    if (news) await this.#save(known);
    return digests;
  }

  async #read(): Promise<Map<string, Known>> {
    try {
      return new Map(Object.entries(cacheSchema.parse(JSON.parse(await readFile(this.#cacheFile, 'utf8'))).files));
    } catch (error) {
      if (!isMissing(error)) this.#log(`${this.#cacheFile} cannot be read and is made anew: ${sentenceOf(error)}`);
      return new Map();
    }
  }

  async #save(known: ReadonlyMap<string, Known>): Promise<void> {
    try {
      await makeFolder(dirname(this.#cacheFile));
      await replaceFile(this.#cacheFile, JSON.stringify({ v: 1, files: Object.fromEntries(known) }));
    } catch (error) {
      this.#log(
        `${this.#cacheFile} cannot be written, so models are read again at the next start: ${sentenceOf(error)}`,
      );
    }
  }
}

interface Known {
  /** Size, modification time in nanoseconds and inode. */
  readonly mark: string;
  readonly sha256: string;
}

const cacheSchema = z.strictObject({
  v: z.literal(1),
  files: z.record(z.string(), z.strictObject({ mark: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
});

const BLOCK = 1024 * 1024;

async function markOf(path: string): Promise<string> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return `${size}:${mtimeNs}:${ino}`;
}

/** To a temporary name and renamed: two processes that write at once leave one whole file. */
async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  try {
    await writeFile(temporary, text);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Reads through one block of memory; between two blocks the event loop goes on. */
async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  const block = Buffer.alloc(BLOCK);
  const handle = await open(path, 'r');
  try {
    for (let read = await handle.read(block); read.bytesRead > 0; read = await handle.read(block)) {
      hash.update(block.subarray(0, read.bytesRead));
    }
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}
