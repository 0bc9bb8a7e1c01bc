import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeFolder, makeFolderSync } from '../../src/process/folder.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kilnwatt-folder-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('making a folder', () => {
  it('makes those above it, and says which it made', async () => {
    const folder = join(root, 'a', 'b', 'c');
    expect(await makeFolder(folder, { mode: 0o700 })).toEqual([join(root, 'a'), join(root, 'a', 'b'), folder]);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(await makeFolder(folder)).toEqual([]);
    makeFolderSync(join(root, 'd', 'e'), 0o700);
    makeFolderSync(join(root, 'd', 'e'));
    expect(statSync(join(root, 'd', 'e')).mode & 0o777).toBe(0o700);
  });

  it('is content with one that somebody else makes meanwhile', async () => {
    const folder = join(root, 'a');
    const late = async () => {
      mkdirSync(folder);
      await mkdir(folder);
    };
    expect(await makeFolder(folder, { mkdir: late })).toEqual([]);
    expect(existsSync(folder)).toBe(true);
  });

  it('says so where a file is in the way, at its place or above it', async () => {
    const file = join(root, 'letter');
    writeFileSync(file, 'dear');
    for (const folder of [file, join(file, 'below')]) {
      await expect(makeFolder(folder)).rejects.toMatchObject({ code: 'EEXIST' });
      expect(() => makeFolderSync(folder)).toThrow('EEXIST');
    }
  });

  it.runIf(process.platform === 'linux')('ends where a folder that is there lets nothing be made in it', async () => {
    await expect(makeFolder('/proc/kilnwatt/a')).rejects.toMatchObject({ code: 'ENOENT' });
    expect(() => makeFolderSync('/proc/kilnwatt/a')).toThrow('ENOENT');
  });
});
