import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DiskImages, type FaultPoint } from '../../src/images/disk.ts';
import { makePictures, readWithPillow } from './pillow.ts';
import { metadataOf } from './samples.ts';

const JOB = '01993f2e-7c1a-7000-8000-000000000001-000007';
const program = fileURLToPath(new URL('../fixtures/images/finish-and-die.ts', import.meta.url));
const WITHOUT: readonly FaultPoint[] = ['metadata_written', 'image_synced'];
const WITH: readonly FaultPoint[] = ['image_linked', 'folder_synced'];
let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-kill-'));
  await makePictures(root);
});
afterAll(() => rm(root, { recursive: true }));

/** Runs the program until it is killed; returns the target that it worked on. */
async function killedAt(point: FaultPoint): Promise<string> {
  const target = join(root, point, 'a.png');
  const child = spawn(process.execPath, [program, point, join(root, 'plain.png'), target, JOB], { stdio: 'inherit' });
  const [, signal] = await once(child, 'exit');
  expect(signal).toBe('SIGKILL');
  return target;
}

test.each(WITHOUT)('a kill at %s leaves no picture, and the next try makes exactly one', async (point) => {
  const target = await killedAt(point);
  const images = new DiskImages();
  expect(await images.find(target, JOB)).toBeUndefined();
  expect((await readdir(dirname(target))).filter((name) => !name.startsWith('.'))).toEqual([]);

  const temporary = await images.prepare(target, JOB);
  await copyFile(join(root, 'plain.png'), temporary);
  await images.finish({ temporary, target, format: 'png', sidecar: null }, metadataOf(JOB));
  expect(await readdir(dirname(target))).toEqual([basename(target)]);
});

test.each(WITH)(
  'a kill at %s leaves the whole picture, which is adopted and leaves nothing beside it',
  async (point) => {
    const target = await killedAt(point);
    const found = await new DiskImages().find(target, JOB);
    expect(found).toEqual({ path: target, metadata: metadataOf(JOB) });
    expect(await readdir(dirname(target))).toEqual([basename(target)]);
    const [seen, original] = await readWithPillow([target, join(root, 'plain.png')]);
    expect(seen?.pixels).toBe(original?.pixels);
  },
);
