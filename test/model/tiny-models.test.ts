import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DiskRegistry } from '../../src/model/registry.ts';

/** Real folders, as diffusers and transformers save them. */
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kilnwatt-tiny-'));
  const script = fileURLToPath(new URL('../../scripts/make-test-models', import.meta.url));
  await promisify(execFile)(script, [folder, '--only', 'sd,sdxl,flux']);
});
afterAll(() => rm(folder, { recursive: true }));

test('the tiny models are known by what diffusers wrote', async () => {
  const models = new DiskRegistry({ modelsDir: folder, cacheFile: join(folder, '.hashes.json') });
  expect(await models.list()).toEqual(['tiny-flux', 'tiny-sd', 'tiny-sdxl']);
  const found = await Promise.all((await models.list()).map((name) => models.resolve(name)));
  expect(found.map(({ family }) => family)).toEqual(['flux', 'sd', 'sdxl']);
  expect(found.map(({ sizeMultiple }) => sizeMultiple)).toEqual([16, 8, 8]);
  expect(found.map(({ nativeSize }) => nativeSize.width).slice(1)).toEqual([64, 64]);
  expect(new Set(found.map(({ hash }) => hash)).size).toBe(3);
});
