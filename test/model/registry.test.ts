import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UnavailableError } from '../../src/errors.ts';
import { parsePythonJson } from '../../src/model/folder.ts';
import { DiskRegistry, type DiskRegistryOptions } from '../../src/model/registry.ts';
import { modelsContract } from '../contracts/models.ts';
import { type Files, FLUX, SD, safetensors, writeFolder } from './folders.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-models-'));
});
afterEach(() => rm(root, { recursive: true }));

function registry(options: Partial<DiskRegistryOptions> = {}): DiskRegistry {
  return new DiskRegistry({ modelsDir: root, cacheFile: join(root, 'cache', 'hashes.json'), ...options });
}

modelsContract(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kilnwatt-models-'));
  await writeFolder(join(folder, 'tiny-sd'), SD);
  await writeFolder(join(folder, 'org', 'tiny-flux'), FLUX);
  await writeFolder(join(folder, 'no-model'), { 'notes.txt': 'x' });
  await writeFolder(join(folder, 'loras'), { 'ink.safetensors': safetensors() });
  const models = new DiskRegistry({ modelsDir: folder, cacheFile: join(folder, '.hashes.json') });
  return { models, close: () => rm(folder, { recursive: true }) };
});

describe('a name', () => {
  test('may be a path: absolute, relative, or below the current folder', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const elsewhere = registry({ modelsDir: join(root, 'nothing') });
    const here = relative(process.cwd(), join(root, 'sd'));
    for (const name of [join(root, 'sd'), `./${here}`, here]) {
      expect(await elsewhere.resolve(name)).toMatchObject({ name: 'sd', path: join(root, 'sd') });
    }
  });

  test('that is a path to nothing says where it looked', async () => {
    const resolve = registry().resolve(join(root, 'gone'));
    await expect(resolve).rejects.toMatchObject({
      code: 'model_missing',
      message: expect.stringContaining(join(root, 'gone')),
    });
    await expect(registry().resolve('~/no such folder')).rejects.toMatchObject({ code: 'model_missing' });
  });

  test('cannot lead out of the models folder', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const inner = registry({ modelsDir: join(root, 'models') });
    await expect(inner.resolve('a/../../sd')).rejects.toMatchObject({ code: 'model_missing' });
  });

  test('that is a single file says what is wanted instead', async () => {
    await writeFile(join(root, 'model.safetensors'), safetensors());
    const resolve = registry().resolve(join(root, 'model.safetensors'));
    await expect(resolve).rejects.toThrow(/single file.*folder of a diffusers pipeline/);
  });

  test('that comes with kilnwatt is found without a models folder, and one of the user goes before it', async () => {
    const ownModelsDir = join(root, 'own');
    await writeFolder(join(ownModelsDir, 'box'), SD);
    const models = registry({ modelsDir: join(root, 'models'), ownModelsDir });
    expect(await models.resolve('box')).toMatchObject({ name: 'box', path: join(ownModelsDir, 'box') });
    expect(await models.list()).toEqual(['box']);
    expect((await models.check())[0]).toMatchObject({
      status: 'ok',
      detail: `none in ${join(root, 'models')}; box (comes with kilnwatt)`,
    });
    await writeFolder(join(root, 'models', 'box'), SD);
    expect(await models.resolve('box')).toMatchObject({ path: join(root, 'models', 'box') });
    expect(await models.list()).toEqual(['box']);
  });

  test('whose scheduler was saved by diffusers with an infinite number is usable', async () => {
    const scheduler =
      '{"_class_name": "DPMSolverMultistepScheduler", "note": "NaN, \\"-Infinity", "lambda_min_clipped": -Infinity, "other": [NaN, Infinity]}';
    await writeFolder(join(root, 'dpm'), { ...SD, 'scheduler/scheduler_config.json': Buffer.from(scheduler) });
    expect(await registry().resolve('dpm')).toMatchObject({ name: 'dpm' });
    expect(parsePythonJson(scheduler)).toEqual({
      _class_name: 'DPMSolverMultistepScheduler',
      note: 'NaN, "-Infinity',
      lambda_min_clipped: null,
      other: [null, null],
    });
  });

  test('that is a hub id is fetched only where the models folder has none of that name', async () => {
    await writeFolder(join(root, 'org', 'here'), SD);
    await writeFolder(join(root, 'cached'), SD);
    const asked: string[] = [];
    const fetch = async (id: string): Promise<string> => join(root, asked.push(id) > 0 ? 'cached' : '');
    expect((await registry({ fetch }).resolve('org/here')).path).toBe(join(root, 'org', 'here'));
    expect(asked).toEqual([]);
    expect(await registry({ fetch }).resolve('org/there')).toMatchObject({
      name: 'org/there',
      path: join(root, 'cached'),
    });
    expect(asked).toEqual(['org/there']);
  });

  test('that is a hub id and cannot be fetched is unreachable, whatever the reason', async () => {
    const unreachable = {
      name: 'UnavailableError',
      code: 'model_unreachable',
      message: expect.stringContaining('org/there'),
    };
    const own = new UnavailableError('org/there: offline', { code: 'model_unreachable' });
    for (const error of [new Error('ECONNREFUSED'), own]) {
      const fetch = async (): Promise<string> => {
        throw error;
      };
      await expect(registry({ fetch }).resolve('org/there')).rejects.toMatchObject(unreachable);
    }
    await expect(registry().resolve('org/there')).rejects.toMatchObject(unreachable);
  });
});

describe('a folder that cannot be used', () => {
  const refusals: readonly (readonly [string, Files, string, RegExp])[] = [
    [
      'has a pickle for weights',
      { 'unet/diffusion_pytorch_model.safetensors': null, 'unet/diffusion_pytorch_model.bin': Buffer.from('pickle') },
      'model_unsafe',
      /unet\/diffusion_pytorch_model\.bin.*safetensors/,
    ],
    ['has no weights', { 'vae/diffusion_pytorch_model.safetensors': null }, 'model_broken', /vae has no weights/],
    [
      'is a single pickle',
      { 'model_index.json': null, 'model.ckpt': Buffer.from('pickle') },
      'model_unsafe',
      /model\.ckpt.*safetensors/,
    ],
    ['has no index', { 'model_index.json': null }, 'model_broken', /no model_index\.json/],
    [
      'has an index that is no JSON',
      { 'model_index.json': Buffer.from('{') },
      'model_broken',
      /model_index\.json.*JSON/,
    ],
    ['has an index without a class', { 'model_index.json': {} }, 'model_broken', /_class_name/],
    ['names no component', { 'model_index.json': { _class_name: 'X' } }, 'model_broken', /no component/],
    [
      'lacks a component',
      { 'tokenizer/vocab.json': null, 'tokenizer/merges.txt': null },
      'model_broken',
      /folder tokenizer is missing/,
    ],
    ['lacks a config', { 'text_encoder/config.json': null }, 'model_broken', /text_encoder\/config\.json is missing/],
    ['has a config that makes no sense', { 'unet/config.json': { sample_size: 'x' } }, 'model_broken', /sample_size/],
    [
      'has weights that are no safetensors',
      { 'unet/diffusion_pytorch_model.safetensors': Buffer.from('not at all what it says') },
      'model_broken',
      /unet\/diffusion_pytorch_model\.safetensors.*cut short/,
    ],
    [
      'has an own setting that is unknown',
      { 'kilnwatt.json': { nativesize: [8, 8] } },
      'model_broken',
      /kilnwatt\.json.*nativesize/,
    ],
    [
      'has an own default that it cannot be sampled with',
      { 'kilnwatt.json': { defaults: { scheduler: 'flow_match_euler' } } },
      'model_broken',
      /kilnwatt\.json.*flow_match_euler/,
    ],
  ];

  test.each(refusals)('because it %s is refused with the file that is to blame', async (_, changes, code, message) => {
    await writeFolder(join(root, 'sd'), { ...SD, ...changes });
    const resolve = registry().resolve('sd');
    await expect(resolve).rejects.toMatchObject({ name: 'InputError', code });
    await expect(resolve).rejects.toThrow(message);
  });

  test('because its weights are cut short by one byte, or one too long, is refused', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const file = join(root, 'sd', 'unet', 'diffusion_pytorch_model.safetensors');
    const { length } = await readFile(file);
    await truncate(file, length - 1);
    await expect(registry().resolve('sd')).rejects.toMatchObject({ code: 'model_broken' });
    await truncate(file, length + 1);
    await expect(registry().resolve('sd')).rejects.toMatchObject({ code: 'model_broken' });
  });

  test('because a shard is missing, or lies outside, is refused', async () => {
    await writeFolder(join(root, 'flux'), FLUX);
    await rm(join(root, 'flux', 'transformer', 'diffusion_pytorch_model-00002-of-00002.safetensors'));
    await expect(registry().resolve('flux')).rejects.toThrow(/00002-of-00002\.safetensors is missing/);
    const index = {
      'transformer/diffusion_pytorch_model.safetensors.index.json': { weight_map: { a: '../x.safetensors' } },
    };
    await writeFolder(join(root, 'flux'), index);
    await expect(registry().resolve('flux')).rejects.toMatchObject({ code: 'model_broken' });
  });
});

describe('the checks', () => {
  test('warn of an empty or missing models folder with the way out', async () => {
    const [first] = await registry({ modelsDir: join(root, 'nothing', 'here') }).check();
    expect(first).toMatchObject({ status: 'warn', mend: expect.stringContaining('--model') });
  });
});
