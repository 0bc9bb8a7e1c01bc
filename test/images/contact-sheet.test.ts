import { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { EXIT, exitCodeOf } from '../../src/cli/exit.ts';
import { pillowContactSheets } from '../../src/images/contact-sheet.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';
import { makePictures, readWithPillow } from './pillow.ts';

const sheets = pillowContactSheets({ python: PYTHON, workerDir: WORKER_DIR });
const PATIENCE = { timeout: 20_000, interval: 10 };
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
    message: `the contact sheet ${join(root, 'file', 'sheet.png')} could not be drawn (a file stands where its folder should be); the same command tries it again, or name another file`,
  });
  const folder = sheets.draw({ path: root, pictures: await pictures() });
  await expect(folder).rejects.toMatchObject({
    code: 'sheet_failed',
    message: expect.stringContaining(`${root} could not be drawn (Is a directory)`),
  });
});

describe('its program', () => {
  const workerDir = resolve(import.meta.dirname, '../fixtures/contact-sheet');

  test('has a process group of its own, and an interrupt of this process ends it', async () => {
    const signals = new EventEmitter();
    const drawing = pillowContactSheets({ python: PYTHON, workerDir, signals })
      .draw({ path: join(root, 'slow.png'), pictures: [] })
      .then(
        () => expect.unreachable('it was drawn'),
        (error: unknown) => error,
      );
    const [pid, group] = await vi.waitFor(async () => {
      const words = (await readFile(join(root, 'slow.pid'), 'utf8')).split(' ');
      expect(words).toHaveLength(2);
      return words;
    }, PATIENCE);
    expect(group).toBe(pid);
    signals.emit('SIGINT');
    const error = await drawing;
    expect(error).toMatchObject({ code: 'interrupted', message: 'drawing the contact sheet was interrupted' });
    expect(exitCodeOf(error)).toBe(EXIT.interrupted);
    expect(signals.eventNames()).toEqual([]);
    await vi.waitFor(() => expect(existsSync(`/proc/${pid}`)).toBe(false), PATIENCE);
  });

  test('that breaks is not taken for a place that cannot be written', async () => {
    const drawing = pillowContactSheets({ python: PYTHON, workerDir }).draw({
      path: join(root, 'bug.png'),
      pictures: [],
    });
    await expect(drawing).rejects.toMatchObject({
      code: 'sheet_failed',
      message: expect.stringContaining('(its program failed: RuntimeError: nobody caught it)'),
    });
  });
});
