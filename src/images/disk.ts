import { type FileHandle, open, readFile, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { sentenceOf } from '../errors.ts';
import type { Check, ImageMetadata, ImageStore } from '../ports.ts';
import type { Bytes } from '../units.ts';
import { brokenImage, diskFull, folderGone, mendOf, orForeign, orMissing, storageFailure } from './failure.ts';
import { folderOf, makeSyncedFolder, requireWritable } from './folder.ts';
import { embedMetadata, readMetadata } from './metadata.ts';
import { type Link, numbered, placeFile, syncFolder } from './place.ts';
import { placeSidecar } from './sidecar.ts';

/** Where a test may kill the process; in this order. */
export type FaultPoint = 'metadata_written' | 'image_synced' | 'image_linked' | 'folder_synced';

export interface DiskImagesOptions {
  at?(point: FaultPoint): void;
  /** With less free space than this no new picture is begun. */
  readonly reserveBytes?: Bytes;
  /** The folder that `check` looks at. */
  readonly outDir?: string;
  /** How a file gets its second name; tests hand in a file system without links. */
  readonly link?: Link;
}

type Made = Parameters<ImageStore['finish']>[0];

const RESERVE: Bytes = 200 * 1024 * 1024;
/** No picture of ours is larger; a larger file at a picture's name is somebody else's. */
const LARGEST: Bytes = 512 * 1024 * 1024;
/** How many names are remembered; a run whose pictures all have one name needs them, others none. */
const MOST_OWNERS = 20_000;

/**
 * Pictures in folders of this machine. A picture appears under its final name complete, with its metadata and
 * synced, or not at all; a kill at any point leaves at most hidden temporary files that name their job, which
 * the next `prepare` or `find` of that job removes. A sidecar follows its picture, so a kill between the two loses it.
 */
export class DiskImages implements ImageStore {
  readonly #options: DiskImagesOptions;
  /** Which job the file at a taken name belongs to; null for a file that is not ours. */
  readonly #owners = new Map<string, string | null>();

  /** Folders that were there. */
  readonly #folders = new Set<string>();

  constructor(options: DiskImagesOptions = {}) {
    this.#options = options;
  }

  async prepare(target: string, jobId: string): Promise<string> {
    const folder = dirname(target);
    return orFailure(folder, async () => {
      await this.#enter(folder);
      const temporary = temporaryOf(target, jobId);
      await this.discard(temporary);
      return temporary;
    });
  }

  async requireRoom(target: string): Promise<void> {
    const folder = dirname(target);
    await orFailure(folder, async () => {
      await this.#enter(folder);
      await requireWritable(folder);
    });
  }

  async finish(made: Made, metadata: ImageMetadata): Promise<string> {
    const staged = stagedOf(made.temporary);
    return orFailure(made.target, async () => {
      try {
        await this.#stage(made, metadata, staged);
        const path = await this.#place(staged, made.target, metadata.kilnwatt.job);
        this.#options.at?.('image_linked');
        await this.discard(made.temporary);
        if (made.sidecar !== null) await placeSidecar(path, made.sidecar, metadata, staged, this.#options.link);
        return path;
      } finally {
        await rm(staged, { force: true });
      }
    });
  }

  async syncFolders(paths: readonly string[]): Promise<void> {
    const folders = new Set(await Promise.all(paths.map(folderOf)));
    await Promise.all([...folders].map((folder) => orFailure(folder, () => syncFolder(folder))));
    this.#options.at?.('folder_synced');
  }

  async find(target: string, jobId: string): ReturnType<ImageStore['find']> {
    return orFailure(target, async () => {
      // A gap of one is a picture that the user threw away; two free names in a row end the row.
      for (let number = 1, free = 0; free < 2; number += 1) {
        const path = numbered(target, number);
        const owner = this.#owners.get(path);
        const metadata = owner === undefined || owner === jobId ? await this.#read(path) : null;
        free = metadata === undefined ? free + 1 : 0;
        if (metadata?.kilnwatt.job !== jobId) continue;
        await this.discard(temporaryOf(target, jobId));
        return { path, metadata };
      }
      return undefined;
    });
  }

  async discard(temporary: string): Promise<void> {
    await orFailure(temporary, async () => {
      await rm(temporary, { force: true });
      await rm(stagedOf(temporary), { force: true });
    });
  }

  async exists(path: string): Promise<boolean> {
    return orFailure(path, async () => (await orMissing(stat(path))) !== undefined);
  }

  async check(): Promise<readonly Check[]> {
    const folder = resolve(this.#options.outDir ?? 'outputs');
    try {
      return [await this.#checkFolder(folder)];
    } catch (error) {
      return [{ name: 'pictures', status: 'fail', detail: `${folder}: ${sentenceOf(error)}`, mend: mendOf(error) }];
    }
  }

  /**
   * Makes the folder, once: one that is gone later was thrown away, or its disk was, and what is made in its place may
   * lie on another disk.
   */
  async #enter(folder: string): Promise<void> {
    if (!this.#folders.has(folder)) await makeSyncedFolder(folder);
    else if ((await orMissing(stat(folder))) === undefined) throw folderGone(folder);
    this.#folders.add(folder);
    const { bavail, bsize } = await statfs(folder);
    if (bavail * bsize < (this.#options.reserveBytes ?? RESERVE)) throw diskFull(folder);
  }

  /** The picture with its metadata, complete and synced, under a second temporary name. */
  async #stage(made: Made, metadata: ImageMetadata, staged: string): Promise<void> {
    const pixels = await orMissing(readFile(made.temporary));
    if (pixels === undefined) throw brokenImage(made.temporary, 'it is missing');
    const pieces = embedMetadata(pixels, made.format, metadata, made.temporary);
    await rm(staged, { force: true });
    const handle = await open(staged, 'wx');
    try {
      await writeAll(handle, pieces);
      this.#options.at?.('metadata_written');
      await handle.sync();
    } finally {
      await handle.close();
    }
    this.#options.at?.('image_synced');
  }

  async #place(staged: string, target: string, jobId: string): Promise<string> {
    for (let number = 1; ; number += 1) {
      const path = numbered(target, number);
      const owner = this.#owners.get(path);
      if (owner !== undefined && owner !== jobId) continue;
      if (await placeFile(staged, path, jobId, this.#options.link)) return path;
      if ((await this.#read(path))?.kilnwatt.job === jobId) return path;
    }
  }

  /** The metadata of a picture of ours, null for another file, undefined where there is none. */
  async #read(path: string): Promise<ImageMetadata | null | undefined> {
    const found = await orForeign(orMissing(stat(path)));
    if (found === undefined) return undefined;
    const readable = found?.isFile() === true && found.size <= LARGEST;
    const file = readable ? await orForeign(orMissing(readFile(path))) : null;
    const metadata = file == null ? null : (readMetadata(file, path) ?? null);
    if (this.#owners.size >= MOST_OWNERS) this.#owners.clear();
    this.#owners.set(path, metadata?.kilnwatt.job ?? null);
    return metadata;
  }

  async #checkFolder(folder: string): Promise<Check> {
    const { bavail, bsize } = await statfs(await requireWritable(folder));
    const free = bavail * bsize;
    const detail = `${(free / 1024 ** 3).toFixed(1)} GiB free at ${folder}`;
    if (free >= (this.#options.reserveBytes ?? RESERVE)) return { name: 'pictures', status: 'ok', detail };
    return { name: 'pictures', status: 'fail', detail, mend: 'free some space or choose another folder with --out' };
  }
}

/** Hidden and named after the job, so that nobody else's is ever removed. */
function temporaryOf(target: string, jobId: string): string {
  return join(dirname(target), `.${jobId.replaceAll(/[^\w-]/g, '_')}.part`);
}

function stagedOf(temporary: string): string {
  return `${temporary}.staged`;
}

/** Does not join the pieces, which are megabytes; what a short write left over is written too, or fails by itself. */
async function writeAll(handle: FileHandle, pieces: readonly Buffer[]): Promise<void> {
  const { bytesWritten } = await handle.writev([...pieces]);
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (bytesWritten < size) await handle.writeFile(Buffer.concat(pieces).subarray(bytesWritten));
}

async function orFailure<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storageFailure(error, path);
  }
}
