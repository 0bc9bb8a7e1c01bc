import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DiskRegistry } from '../../src/model/registry.ts';
import { safetensors, writeFolder } from './folders.ts';

let root: string;
let models: DiskRegistry;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-loras-'));
  models = new DiskRegistry({ modelsDir: root, cacheFile: join(root, 'hashes.json') });
});
afterEach(() => rm(root, { recursive: true }));

describe('a LoRA', () => {
  test('may be a path, wherever it is, and may lie deeper in the folder of LoRAs', async () => {
    await writeFolder(root, { 'ink.safetensors': safetensors('1'), 'loras/sdxl/clay.safetensors': safetensors('2') });
    const path = join(root, 'ink.safetensors');
    for (const name of [path, `./${relative(process.cwd(), path)}`])
      expect(await models.resolveLora(name)).toMatchObject({ name: 'ink', path, bytes: (await stat(path)).size });
    expect(await models.resolveLora('sdxl/clay')).toMatchObject({
      name: 'clay',
      path: join(root, 'loras/sdxl/clay.safetensors'),
    });
  });

  test('is known by what is in its file', async () => {
    await writeFolder(join(root, 'loras'), { 'a.safetensors': safetensors('1'), 'b.safetensors': safetensors('1') });
    const before = await models.resolveLora('a');
    expect((await models.resolveLora('b')).hash).toBe(before.hash);
    await writeFile(join(root, 'loras', 'a.safetensors'), safetensors('other'));
    expect((await models.resolveLora('a')).hash).not.toBe(before.hash);
  });

  test('that is not there says where it looked and what was meant', async () => {
    const empty = models.resolveLora('ink');
    await expect(empty).rejects.toMatchObject({ code: 'lora_missing' });
    await expect(empty).rejects.toThrow(
      `no LoRA "ink"; put its .safetensors file into ${join(root, 'loras')}, or give`,
    );
    await writeFolder(join(root, 'loras'), { 'sdxl/watercolor.safetensors': safetensors() });
    await expect(models.resolveLora('sdxl/watercolour')).rejects.toThrow(
      /did you mean sdxl\/watercolor\? Otherwise put/,
    );
    await expect(models.resolveLora(join(root, 'none.safetensors'))).rejects.toMatchObject({ code: 'lora_missing' });
  });

  test('is never out of its folder by a name, nor a folder', async () => {
    await writeFolder(root, { 'ink.safetensors': safetensors(), 'loras/deep/a.safetensors': safetensors() });
    for (const name of ['deep/../../ink', 'deep', '', 'deep//a'])
      await expect(models.resolveLora(name)).rejects.toMatchObject({ code: 'lora_missing' });
  });

  test('that is a pickle, cut short or no safetensors file is refused with its own sentence', async () => {
    const whole = safetensors();
    const files = {
      'p.pt': whole,
      'cut.safetensors': whole.subarray(0, -2),
      'text.safetensors': Buffer.from('x'.repeat(99)),
    };
    await writeFolder(join(root, 'loras'), files);
    const path = (name: string) => join(root, 'loras', name);
    const refused = async (name: string) => {
      const error = await models.resolveLora(name).catch((reason: unknown) => reason);
      return error instanceof Error && 'code' in error ? `${error.code}: ${error.message}` : error;
    };
    expect(await refused('p.pt')).toBe(
      `lora_unsafe: the LoRA ${path('p.pt')} is a pickle, which may run any program when it is loaded: take its safetensors version`,
    );
    for (const name of ['cut', 'text'])
      expect(await refused(name)).toBe(
        `lora_broken: the LoRA ${path(name)}.safetensors cannot be used (the file is cut short): fetch it again`,
      );
  });
});
