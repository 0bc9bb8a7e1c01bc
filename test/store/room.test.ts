import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataFolder } from '../../src/store/room.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'room-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('the data folder', () => {
  it('is made when it is first asked, and has nothing in it afterwards', async () => {
    const folder = new DataFolder(join(root, 'a', 'data'), 0);
    await folder.requireRoom();
    expect(await folder.hasRoom()).toBe(true);
    expect(await readdir(join(root, 'a', 'data'))).toEqual([]);
  });

  it('is full below its reserve, and says which setting that is', async () => {
    const refused = new DataFolder(root, Number.MAX_SAFE_INTEGER).requireRoom();
    await expect(refused).rejects.toMatchObject({
      code: 'disk_full',
      message: expect.stringMatching(/disk_reserve_mb/),
    });
  });

  it('that is gone is missed, and not made anew on what may be another disk', async () => {
    const folder = new DataFolder(join(root, 'data'), 0);
    await folder.requireRoom();
    await rm(join(root, 'data'), { recursive: true });
    await expect(folder.requireRoom()).rejects.toMatchObject({
      code: 'not_writable',
      message: expect.stringMatching(/data is gone: mount its disk again/),
    });
    expect(await readdir(root)).toEqual([]);
  });

  it('that cannot be one is refused with the reason of the system', async () => {
    await writeFile(join(root, 'file'), '');
    const refused = new DataFolder(join(root, 'file', 'data'), 0).requireRoom();
    await expect(refused).rejects.toMatchObject({ code: 'not_writable', message: expect.stringMatching(/EEXIST/) });
  });
});
