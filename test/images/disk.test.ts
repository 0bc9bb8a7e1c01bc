import { copyFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DiskImages, type DiskImagesOptions } from '../../src/images/disk.ts';
import { readMetadata } from '../../src/images/metadata.ts';
import { imagesContract } from '../contracts/images.ts';
import { makePictures } from './pillow.ts';
import { metadataOf } from './samples.ts';

let pictures: string;
let root: string;
let target: string;

beforeAll(async () => {
  pictures = await mkdtemp(join(tmpdir(), 'kilnwatt-pictures-'));
  await makePictures(pictures);
});
afterAll(() => rm(pictures, { recursive: true }));
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-images-'));
  target = join(root, 'run', 'a.png');
});
afterEach(() => rm(root, { recursive: true }));

/** What FAT answers to a link. */
const noLinks = async (): Promise<void> => {
  throw failed('EPERM');
};

for (const options of [{}, { link: noLinks }] satisfies DiskImagesOptions[]) {
  describe(options.link === undefined ? 'on a file system with links' : 'on a file system without links', () => {
    imagesContract(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'kilnwatt-contract-'));
      return {
        images: new DiskImages({ ...options, outDir: folder }),
        root: folder,
        paint: (temporary) => copyFile(join(pictures, 'plain.png'), temporary),
        throwAway: (path) => rm(path),
        close: () => rm(folder, { recursive: true }),
      };
    });

    test("leaves somebody else's file and folder of the same name as they are", async () => {
      const images = new DiskImages(options);
      await images.prepare(target, 'job-1');
      await writeFile(target, 'a letter');
      await images.prepare(join(root, 'run', 'a-2.png', 'x.png'), 'job-1');
      expect(await make(images, 'job-1')).toBe(join(root, 'run', 'a-3.png'));
      expect(await readFile(target, 'utf8')).toBe('a letter');
    });

    test('leaves nothing but the picture', async () => {
      await make(new DiskImages(options), 'job-1');
      expect(await readdir(dirname(target))).toEqual(['a.png']);
    });
  });
}

async function make(images: DiskImages, job: string, sidecar: 'txt' | 'json' | null = null): Promise<string> {
  const temporary = await images.prepare(target, job);
  await copyFile(join(pictures, 'plain.png'), temporary);
  return images.finish({ temporary, target, format: 'png', sidecar }, metadataOf(job));
}

function failed(code: string): Error {
  return Object.assign(new Error(`${code}: link`), { code, syscall: 'link' });
}

describe('a file system without links', () => {
  test('lets the owner of a name that was only reserved go on, and nobody else', async () => {
    const images = new DiskImages({ link: noLinks });
    await images.prepare(target, 'job-1');
    await writeFile(target, 'kilnwatt keeps this name for job-1\n');
    expect(await make(images, 'job-2')).toBe(join(root, 'run', 'a-2.png'));
    expect(await make(new DiskImages({ link: noLinks }), 'job-1')).toBe(target);
    expect(readMetadata(await readFile(target), target)?.kilnwatt.job).toBe('job-1');
  });
});

describe('a disk that refuses', () => {
  test('is said to be full before a picture is begun, with the folder and what to do', async () => {
    const images = new DiskImages({ reserveBytes: Number.MAX_SAFE_INTEGER, outDir: root });
    const prepare = images.prepare(target, 'job-1');
    await expect(prepare).rejects.toMatchObject({ name: 'StorageError', code: 'disk_full' });
    await expect(prepare).rejects.toThrow(`${dirname(target)}: free some space`);
    expect(await images.check()).toMatchObject([{ status: 'fail' }]);
  });

  test('is said to be full when it fills up while a picture is written, and nothing half-made stays', async () => {
    const images = new DiskImages({
      at(point) {
        if (point === 'metadata_written') throw failed('ENOSPC');
      },
    });
    await expect(make(images, 'job-1')).rejects.toMatchObject({ code: 'disk_full' });
    expect(await readdir(dirname(target))).toEqual(['.job-1.part']);
    await new DiskImages().prepare(target, 'job-1');
    expect(await readdir(dirname(target))).toEqual([]);
  });

  test('is said not to be writable where a file is in place of the folder', async () => {
    await writeFile(join(root, 'run'), '');
    const images = new DiskImages({ outDir: join(root, 'run', 'below') });
    await expect(images.prepare(target, 'job-1')).rejects.toMatchObject({ name: 'StorageError', code: 'not_writable' });
    await expect(images.prepare(target, 'job-1')).rejects.toThrow(dirname(target));
  });

  test('passes on what is no error of the disk', async () => {
    const images = new DiskImages({
      at() {
        throw new RangeError('a bug');
      },
    });
    await expect(make(images, 'job-1')).rejects.toThrow(RangeError);
  });
});

describe('a picture that the worker did not write whole', () => {
  test('is refused and gets no name', async () => {
    const images = new DiskImages();
    const temporary = await images.prepare(target, 'job-1');
    await copyFile(join(pictures, 'plain.png'), temporary);
    await truncate(temporary, (await stat(temporary)).size - 20);
    const finish = images.finish({ temporary, target, format: 'png', sidecar: null }, metadataOf('job-1'));
    await expect(finish).rejects.toMatchObject({ name: 'StorageError', code: 'image_broken' });
    expect(await images.exists(target)).toBe(false);
  });

  test('is not adopted when it was damaged later', async () => {
    await make(new DiskImages(), 'job-1');
    await truncate(target, (await stat(target)).size - 20);
    expect(await new DiskImages().find(target, 'job-1')).toBeUndefined();
    expect(await make(new DiskImages(), 'job-1')).toBe(join(root, 'run', 'a-2.png'));
  });
});

describe('a sidecar', () => {
  const beside = (name: string): string => join(root, 'run', name);

  test("holds AUTOMATIC1111's text or our own JSON", async () => {
    await make(new DiskImages(), 'job-1', 'txt');
    expect(await readFile(beside('a.txt'), 'utf8')).toBe(`${metadataOf('job-1').parameters}\n`);
    await make(new DiskImages(), 'job-2', 'json');
    expect(JSON.parse(await readFile(beside('a-2.json'), 'utf8'))).toEqual(metadataOf('job-2').kilnwatt);
  });

  test('takes a longer name where another file has its own', async () => {
    await new DiskImages().prepare(target, 'job-1');
    await writeFile(beside('a.txt'), 'mine');
    await make(new DiskImages(), 'job-1', 'txt');
    expect(await readFile(beside('a.txt'), 'utf8')).toBe('mine');
    expect(await readFile(beside('a.png.txt'), 'utf8')).toContain('Steps: 20');
  });

  test('leaves a folder of its name as it is', async () => {
    await new DiskImages().prepare(join(beside('a.json'), 'x.png'), 'job-0');
    await make(new DiskImages(), 'job-1', 'json');
    expect((await readdir(dirname(target))).sort()).toEqual(['a.json', 'a.png', 'a.png.json']);
  });

  test('is replaced when its picture was thrown away and is made again, which took another time and cost', async () => {
    const images = new DiskImages();
    for (const cost of ['0.000006', '0.000009']) {
      await rm(target, { force: true });
      const metadata = metadataOf('job-1');
      const parameters = `${metadata.parameters}, Energy: 73.1 J assumed, Cost: ${cost} EUR assumed`;
      const temporary = await images.prepare(target, 'job-1');
      await copyFile(join(pictures, 'plain.png'), temporary);
      await images.finish({ temporary, target, format: 'png', sidecar: 'txt' }, { ...metadata, parameters });
    }
    expect((await readdir(dirname(target))).sort()).toEqual(['a.png', 'a.txt']);
    expect(await readFile(join(dirname(target), 'a.txt'), 'utf8')).toContain('Cost: 0.000009 EUR');
  });

  test('is made once, though its job is finished twice', async () => {
    for (const sidecar of ['txt', 'json', 'txt', 'json'] as const) await make(new DiskImages(), 'job-1', sidecar);
    expect((await readdir(dirname(target))).sort()).toEqual(['a.json', 'a.png', 'a.txt']);
  });
});

test('syncs a folder that is named itself or by a picture in it, even one that was thrown away', async () => {
  const points: string[] = [];
  const images = new DiskImages({ at: (point) => void points.push(point) });
  await make(images, 'job-1');
  await images.syncFolders([target, dirname(target), join(root, 'run', 'gone.png')]);
  expect(points).toEqual(['metadata_written', 'image_synced', 'image_linked', 'folder_synced']);
  await expect(images.syncFolders([join(root, 'nowhere', 'gone.png')])).rejects.toMatchObject({
    code: 'storage_failed',
  });
});

test('says that a file stands in the way of the folder', async () => {
  await writeFile(join(root, 'run'), 'a letter');
  const refused = new DiskImages().prepare(target, 'job-1');
  await expect(refused).rejects.toThrow(/a file stands where a folder is needed; choose another folder with --out/);
  await expect(refused).rejects.toMatchObject({ code: 'not_writable' });
});
