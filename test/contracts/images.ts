import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ImageStore } from '../../src/ports.ts';
import { metadataOf } from '../images/samples.ts';

/** One store under examination, and what the world around it does. */
export interface ImagesUnderTest {
  readonly images: ImageStore;
  /** An absolute folder that is free for the test. */
  readonly root: string;
  /** The worker writes a whole PNG picture to this file. */
  paint(temporary: string): Promise<void>;
  /** The user deletes a picture. */
  throwAway(path: string): Promise<void>;
  close(): Promise<void>;
}

/** What every image store promises. */
export function imagesContract(make: () => Promise<ImagesUnderTest>): void {
  describe('an image store', () => {
    let it: ImagesUnderTest;
    let target: string;
    beforeEach(async () => {
      it = await make();
      target = join(it.root, 'a run', '00001-7.png');
    });
    afterEach(() => it.close());

    /** The way of one picture. */
    async function made(job: string, sidecar: 'txt' | 'json' | null = null): Promise<string> {
      const temporary = await it.images.prepare(target, job);
      await it.paint(temporary);
      return it.images.finish({ temporary, target, format: 'png', sidecar }, metadataOf(job));
    }

    test('names a temporary file beside the target, another for another job', async () => {
      const [one, two] = [await it.images.prepare(target, 'job-1'), await it.images.prepare(target, 'job-2')];
      expect(dirname(one)).toBe(dirname(target));
      expect(one).not.toBe(two);
      expect(basename(one)).toMatch(/^\./);
    });

    test('gives a picture its name and finds it by its job, with all its metadata', async () => {
      expect(await it.images.exists(target)).toBe(false);
      expect(await made('job-1')).toBe(target);
      await it.images.syncFolders([target]);
      expect(await it.images.exists(target)).toBe(true);
      expect(await it.images.find(target, 'job-1')).toEqual({ path: target, metadata: metadataOf('job-1') });
    });

    test('never overwrites: pictures of other jobs are numbered', async () => {
      const paths = [await made('job-1'), await made('job-2'), await made('job-3')];
      expect(paths.map((path) => basename(path))).toEqual(['00001-7.png', '00001-7-2.png', '00001-7-3.png']);
      for (const [index, path] of paths.entries()) {
        expect((await it.images.find(target, `job-${index + 1}`))?.path).toBe(path);
      }
    });

    test('returns the picture that is there when the same job is finished twice', async () => {
      await made('job-1');
      expect(await made('job-2')).toMatch(/-2\.png$/);
      expect(await made('job-2')).toMatch(/-2\.png$/);
      expect(await it.images.exists(join(dirname(target), '00001-7-3.png'))).toBe(false);
    });

    test('finds nothing for a job that has no picture, though its name is taken', async () => {
      expect(await it.images.find(target, 'job-1')).toBeUndefined();
      await made('job-1');
      expect(await it.images.find(target, 'job-2')).toBeUndefined();
    });

    test('finds a numbered picture after the one before it was thrown away', async () => {
      await made('job-1');
      await made('job-2');
      await it.throwAway(target);
      expect((await it.images.find(target, 'job-2'))?.path).toMatch(/-2\.png$/);
      expect(await it.images.find(target, 'job-1')).toBeUndefined();
    });

    test('finishes many pictures of one name at the same time under as many names', async () => {
      const jobs = Array.from({ length: 8 }, (_, index) => `job-${index}`);
      const paths = await Promise.all(jobs.map((job) => made(job)));
      expect(new Set(paths).size).toBe(8);
      const found = await Promise.all(jobs.map(async (job) => (await it.images.find(target, job))?.path));
      expect(found).toEqual(paths);
    });

    test('says that there is room for a picture, makes its folder, and leaves nothing else there', async () => {
      await it.images.requireRoom(target);
      await it.images.requireRoom(target);
      expect(await it.images.find(target, 'job-1')).toBeUndefined();
      expect(await made('job-1')).toBe(target);
    });

    test('discards a temporary file once and again', async () => {
      const temporary = await it.images.prepare(target, 'job-1');
      await it.paint(temporary);
      await it.images.discard(temporary);
      await it.images.discard(temporary);
      const finish = it.images.finish({ temporary, target, format: 'png', sidecar: null }, metadataOf('job-1'));
      await expect(finish).rejects.toMatchObject({ name: 'StorageError', code: 'image_broken' });
      expect(await it.images.exists(target)).toBe(false);
    });

    test('checks itself', async () => {
      expect((await it.images.check()).map(({ status }) => status)).toEqual(['ok']);
    });
  });
}
