import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pillowContactSheets } from '../../src/images/contact-sheet.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';
import { makePictures, readWithPillow } from './pillow.ts';

const sheets = pillowContactSheets({ python: PYTHON, workerDir: WORKER_DIR });
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-sheet-'));
  await makePictures(join(root));
});
afterEach(() => rm(root, { recursive: true }));

async function pictures(): Promise<{ path: string; caption: string }[]> {
  return (await readdir(root)).sort().map((name) => ({ path: join(root, name), caption: `the prompt of ${name}` }));
}

test('pictures of every format go onto one PNG, in a folder that is made for it', async () => {
  const all = await pictures();
  expect(all.length).toBeGreaterThan(3);
  const path = join(root, 'new', 'sheet.png');
  await sheets.draw({ path, pictures: all });
  const [seen] = await readWithPillow([path]);
  expect(seen?.format).toBe('PNG');
  expect(seen?.size[0]).toBeGreaterThan(192 * 2);
});

test('a sheet is replaced by the next one', async () => {
  const [first, ...rest] = await pictures();
  const path = join(root, 'sheet.png');
  await sheets.draw({ path, pictures: first === undefined ? [] : [first] });
  const [small] = await readWithPillow([path]);
  await sheets.draw({ path, pictures: rest });
  const [large] = await readWithPillow([path]);
  expect(large?.size[0]).toBeGreaterThan(small?.size[0] ?? 0);
});

test('a place that cannot be written is said in one sentence', async () => {
  await writeFile(join(root, 'file'), '');
  const below = sheets.draw({ path: join(root, 'file', 'sheet.png'), pictures: await pictures() });
  await expect(below).rejects.toMatchObject({
    name: 'StorageError',
    code: 'sheet_failed',
    message: `the contact sheet ${join(root, 'file', 'sheet.png')} could not be drawn: a file stands where its folder should be`,
  });
  const folder = sheets.draw({ path: root, pictures: await pictures() });
  await expect(folder).rejects.toMatchObject({
    code: 'sheet_failed',
    message: `the contact sheet ${root} could not be drawn: Is a directory`,
  });
});
