import { appendFile, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DiskRegistry, type DiskRegistryOptions } from '../../src/model/registry.ts';
import { type Files, FLUX, SD, safetensors, writeFolder } from './folders.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-hashes-'));
});
afterEach(() => rm(root, { recursive: true }));

function registry(options: Partial<DiskRegistryOptions> = {}): DiskRegistry {
  return new DiskRegistry({ modelsDir: root, cacheFile: join(root, 'cache', 'hashes.json'), ...options });
}

describe('the content hash', () => {
  const hashOf = async (files: Files, name = 'm'): Promise<string> => {
    await rm(join(root, name), { recursive: true, force: true });
    await writeFolder(join(root, name), files);
    return (await registry().resolve(name)).hash;
  };

  test('is known for a known folder', async () => {
    expect(await hashOf(SD)).toBe('sha256:ac438f6e0b6c2982d79d2d26ba10e5b62c07ac45b5158ab352fe897aa166445a');
  });

  test('does not depend on where the folder is, nor on files that are not loaded', async () => {
    const others: Files = {
      'README.md': 'x',
      'kilnwatt.json': { native_size: [256, 128] },
      'safety_checker/model.safetensors': safetensors('none of our business'),
      'unet/diffusion_pytorch_model.bin': 'the same as a pickle',
      'unet/diffusion_pytorch_model.fp16.safetensors': safetensors('half'),
      'tokenizer/README.md': 'x',
    };
    expect(await hashOf({ ...SD, ...others }, 'elsewhere')).toBe(await hashOf(SD));
  });

  test.each(Object.keys(SD).filter((file) => !/safety|model_index/.test(file)))('changes with %s', async (file) => {
    const changed = file.endsWith('safetensors') ? safetensors('other') : { ...Object(SD[file]), note: 'other' };
    expect(await hashOf({ ...SD, [file]: changed })).not.toBe(await hashOf(SD));
  });

  test('covers every shard', async () => {
    const shard = 'transformer/diffusion_pytorch_model-00002-of-00002.safetensors';
    expect(await hashOf({ ...FLUX, [shard]: safetensors('owt') })).not.toBe(await hashOf(FLUX));
  });

  test('takes the fp16 files for all components that have them as soon as one has no others', async () => {
    const half: Files = {
      ...SD,
      'unet/diffusion_pytorch_model.safetensors': null,
      'unet/diffusion_pytorch_model.fp16.safetensors': safetensors('half a unet'),
      'vae/diffusion_pytorch_model.fp16.safetensors': safetensors('half a vae'),
    };
    const before = await hashOf(half);
    expect(await hashOf({ ...half, 'vae/diffusion_pytorch_model.safetensors': safetensors('other') })).toBe(before);
    expect(await hashOf({ ...half, 'text_encoder/model.safetensors': safetensors('other') })).not.toBe(before);
  });

  test('follows links, as the hub lays its files out', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const file = join(root, 'sd', 'unet', 'diffusion_pytorch_model.safetensors');
    await rename(file, join(root, 'blob'));
    await symlink(join(root, 'blob'), file);
    await symlink(join(root, 'sd'), join(root, 'link'));
    expect(await registry().list()).toEqual(['link', 'sd']);
    expect((await registry().resolve('link')).hash).toBe(await hashOf(SD));
  });
});

describe('the cache of digests', () => {
  const cache = (): string => join(root, 'cache', 'hashes.json');
  const zeros = async (): Promise<void> => {
    const { v, files } = JSON.parse(await readFile(cache(), 'utf8'));
    for (const name of Object.keys(files)) files[name].sha256 = '0'.repeat(64);
    await writeFile(cache(), JSON.stringify({ v, files }));
  };

  test('saves reading a file again until the file changes', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const real = await registry().resolve('sd');
    await zeros();
    const remembered = await registry().resolve('sd');
    expect(remembered.hash).not.toBe(real.hash);
    await writeFolder(join(root, 'sd'), SD);
    expect((await registry().resolve('sd')).hash).toBe(real.hash);
  });

  test('may be broken or impossible to write: the model is found all the same, and it is said', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const { hash } = await registry().resolve('sd');
    await appendFile(cache(), 'rubbish');
    const lines: string[] = [];
    const log = (line: string): void => void lines.push(line);
    expect((await registry({ log }).resolve('sd')).hash).toBe(hash);
    expect((await registry({ log, cacheFile: join(root, 'sd', 'model_index.json', 'x') }).resolve('sd')).hash).toBe(
      hash,
    );
    expect(lines).toEqual([expect.stringContaining('is made anew'), expect.stringContaining('cannot be written')]);
  });

  test('serves two who ask at the same time with one reading', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const models = registry();
    const [one, two] = await Promise.all([models.resolve('sd'), models.resolve('sd')]);
    expect(one).toBe(two);
  });
});
