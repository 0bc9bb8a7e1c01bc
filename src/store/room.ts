import { rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StorageError, sentenceOf } from '../errors.ts';
import { makeFolder } from '../process/folder.ts';
import type { Bytes } from '../units.ts';

/** The folder of database and queue, as a disk that may refuse. */
export class DataFolder {
  readonly #path: string;
  readonly #reserve: Bytes;
  #made = false;

  /** @param reserve what stays free on its disk */
  constructor(path: string, reserve: Bytes) {
    this.#path = path;
    this.#reserve = reserve;
  }

  /**
   * Makes the folder, once: one that is gone later may have been on another disk. Free space says nothing of a quota, so
   * something is written too.
   * @throws StorageError `disk_full`, `not_writable`
   */
  async requireRoom(): Promise<void> {
    try {
      if (!this.#made) await makeFolder(this.#path, { mode: 0o700 });
      this.#made = true;
      await this.#tryRoom();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  async hasRoom(): Promise<boolean> {
    try {
      await this.requireRoom();
      return true;
    } catch (error) {
      if (error instanceof StorageError) return false;
      throw error;
    }
  }

  async #tryRoom(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#path);
    if (bavail * bsize < this.#reserve) {
      const sentence = `less than ${this.#reserve / 1e6} MB (disk_reserve_mb) are free for ${this.#path}: free some space`;
      throw new StorageError(sentence, { code: 'disk_full' });
    }
    const probe = join(this.#path, `.room-${process.pid}`);
    try {
      await writeFile(probe, Buffer.alloc(PROBE_BYTES), { flush: true });
    } finally {
      await rm(probe, { force: true });
    }
  }

  #failure(error: unknown): unknown {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (error instanceof StorageError || typeof code !== 'string') return error;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      const sentence = `the disk takes nothing more in ${this.#path} (${code}): free some space`;
      return new StorageError(sentence, { code: 'disk_full', cause: error });
    }
    const what =
      code === 'ENOENT' && this.#made ? 'is gone: mount its disk again' : `cannot be written (${sentenceOf(error)})`;
    return new StorageError(`the data folder ${this.#path} ${what}`, { code: 'not_writable', cause: error });
  }
}

const PROBE_BYTES = 65_536;
