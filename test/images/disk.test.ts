import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DiskImages, type DiskImagesOptions } from '../../src/images/disk.ts';
import { storageFailure } from '../../src/images/failure.ts';
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

  test('is missed when it was there before, and is not made anew on what may be another disk', async () => {
    const images = new DiskImages();
    await make(images, 'job-1');
    await rm(dirname(target), { recursive: true });
    const gone = { code: 'not_writable', message: expect.stringMatching(/folder .*run is gone: mount its disk again/) };
    await expect(images.requireRoom(target)).rejects.toMatchObject(gone);
    await expect(images.prepare(target, 'job-2')).rejects.toMatchObject(gone);
    await mkdir(dirname(target));
    await images.requireRoom(target);
    expect(await make(images, 'job-2')).toBe(target);
  });

  test('whose name is too long or leads in a circle is a bad name, which no waiting mends', async () => {
    await symlink(join(root, 'circle'), join(root, 'circle'));
    for (const bad of [join(root, 'x'.repeat(300), 'a.png'), join(root, 'circle', 'a.png')])
      await expect(new DiskImages().prepare(bad, 'job-1')).rejects.toMatchObject({ code: 'bad_target' });
    const long = join(root, `${'x'.repeat(300)}.png`);
    await expect(new DiskImages().find(long, 'job-1')).rejects.toMatchObject({ code: 'bad_target' });
  });

  test('with a link in a circle at the name of a picture gives the picture another name', async () => {
    await mkdir(dirname(target));
    await symlink(target, target);
    expect(await new DiskImages().find(target, 'job-1')).toBeUndefined();
    expect(await make(new DiskImages(), 'job-1')).toBe(join(root, 'run', 'a-2.png'));
  });

  test('without its reserve is full before anything is written', async () => {
    const images = new DiskImages({ reserveBytes: Number.MAX_SAFE_INTEGER });
    await expect(images.requireRoom(target)).rejects.toMatchObject({ code: 'disk_full' });
  });

  test('is said not to be writable where a file is in place of the folder', async () => {
    await writeFile(join(root, 'run'), '');
    const images = new DiskImages({ outDir: join(root, 'run', 'below') });
    await expect(images.prepare(target, 'job-1')).rejects.toMatchObject({ name: 'StorageError', code: 'bad_target' });
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

  /** As an older program, or a slower day, would have made it. */
  const makeAgain = async (version: string, cost: string, sidecar: 'txt' | 'json'): Promise<void> => {
    const metadata = metadataOf('job-1');
    const parameters = `${metadata.parameters}, Version: kilnwatt ${version}, Energy: ${cost}1 J assumed, Cost: ${cost} EUR assumed`;
    const images = new DiskImages();
    const temporary = await images.prepare(target, 'job-1');
    await copyFile(join(pictures, 'plain.png'), temporary);
    await images.finish({ temporary, target, format: 'png', sidecar }, { ...metadata, parameters });
  };

  test('is replaced when its picture was thrown away and is made again, which took another time and cost', async () => {
    await makeAgain('0.1.0', '0.06', 'txt');
    await rm(target);
    await makeAgain('0.2.0', '0.09', 'txt');
    expect((await readdir(dirname(target))).sort()).toEqual(['a.png', 'a.txt']);
    expect(await readFile(beside('a.txt'), 'utf8')).toMatch(/kilnwatt 0\.2\.0, .*Cost: 0\.09 EUR/);
  });

  test('of another seed is left as it is', async () => {
    await new DiskImages().prepare(target, 'job-1');
    const { parameters } = metadataOf('job-1');
    await writeFile(beside('a.txt'), `${parameters}\n`.replace('Seed: 7', 'Seed: 8'));
    await makeAgain('0.1.0', '0.06', 'txt');
    expect(await readFile(beside('a.txt'), 'utf8')).toContain('Seed: 8');
    expect(await readFile(beside('a.png.txt'), 'utf8')).toContain('Seed: 7');
  });

  test('is made once, though its job is finished twice, each time at another cost', async () => {
    for (const sidecar of ['txt', 'json'] as const) {
      for (const cost of ['0.06', '0.09']) await makeAgain('0.1.0', cost, sidecar);
    }
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

describe('a folder that takes no pictures', () => {
  test('because a file stands in its place is told so, by doctor too', async () => {
    await writeFile(join(root, 'run'), 'a letter');
    const reason = /a file stands where a folder is needed; choose another folder with --out/;
    for (const outDir of [join(root, 'run'), join(root, 'run', 'below')]) {
      const images = new DiskImages({ outDir });
      const refused = images.prepare(join(outDir, 'a.png'), 'job-1');
      await expect(refused).rejects.toThrow(reason);
      await expect(refused).rejects.toMatchObject({ code: 'bad_target' });
      expect(await images.check()).toMatchObject([{ status: 'fail', mend: expect.stringMatching(reason) }]);
    }
  });

  test('because its file system is mounted read-only is told so', () => {
    expect(storageFailure(failed('EROFS'), target)).toMatchObject({
      code: 'not_writable',
      message: expect.stringContaining('mounted read-only'),
    });
  });
});
