import { dirname, join } from 'node:path';
import type { Check, ImageMetadata, ImageStore } from '../ports.ts';
import { brokenImage } from './failure.ts';
import { numbered } from './place.ts';

type Made = Parameters<ImageStore['finish']>[0];

/** Pictures without pixels: what has which name, and what it says of itself. For tests. */
export class MemoryImages implements ImageStore {
  /** Finished pictures by path. A test that deletes one is the user who threw it away. */
  readonly pictures = new Map<string, ImageMetadata>();
  readonly sidecars = new Map<string, 'txt' | 'json'>();
  /** Folders that were synced, in order. */
  readonly synced: string[] = [];
  readonly #temporaries = new Set<string>();

  async prepare(target: string, jobId: string): Promise<string> {
    const temporary = join(dirname(target), `.${jobId}.part`);
    this.#temporaries.add(temporary);
    return temporary;
  }

  async requireRoom(_target: string): Promise<void> {}

  async finish(made: Made, metadata: ImageMetadata): Promise<string> {
    if (!this.#temporaries.delete(made.temporary)) throw brokenImage(made.temporary, 'it is missing');
    const path = this.#nameFor(made.target, metadata.kilnwatt.job);
    if (!this.pictures.has(path)) this.pictures.set(path, structuredClone(metadata));
    if (made.sidecar !== null) this.sidecars.set(path, made.sidecar);
    return path;
  }

  async syncFolders(paths: readonly string[]): Promise<void> {
    this.synced.push(...new Set(paths.map((path) => (this.pictures.has(path) ? dirname(path) : path))));
  }

  async find(target: string, jobId: string): ReturnType<ImageStore['find']> {
    for (let number = 1, free = 0; free < 2; number += 1) {
      const path = numbered(target, number);
      const metadata = this.pictures.get(path);
      free = metadata === undefined ? free + 1 : 0;
      if (metadata?.kilnwatt.job === jobId) return { path, metadata };
    }
    return undefined;
  }

  async discard(temporary: string): Promise<void> {
    this.#temporaries.delete(temporary);
  }

  async exists(path: string): Promise<boolean> {
    return this.pictures.has(path);
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'pictures', status: 'ok', detail: 'kept in memory' }];
  }

  #nameFor(target: string, jobId: string): string {
    for (let number = 1; ; number += 1) {
      const path = numbered(target, number);
      const owner = this.pictures.get(path)?.kilnwatt.job;
      if (owner === undefined || owner === jobId) return path;
    }
  }
}
