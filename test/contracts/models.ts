import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ModelRegistry } from '../../src/ports.ts';

/** One registry under examination; it holds the models `tiny-sd` and `org/tiny-flux`, the LoRA `ink`, and no other. */
export interface ModelsUnderTest {
  readonly models: ModelRegistry;
  close(): Promise<void>;
}

/** What every model registry promises. */
export function modelsContract(make: () => Promise<ModelsUnderTest>): void {
  describe('a model registry', () => {
    let it: ModelsUnderTest;
    beforeEach(async () => {
      it = await make();
    });
    afterEach(() => it.close());

    test('lists its models by name', async () => {
      expect(await it.models.list()).toEqual(['org/tiny-flux', 'tiny-sd']);
    });

    test('resolves a name to the same model every time', async () => {
      const [once, again] = [await it.models.resolve('tiny-sd'), await it.models.resolve('tiny-sd')];
      expect(once).toEqual(again);
      expect(once).toMatchObject({
        name: 'tiny-sd',
        family: 'sd',
        hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      });
      expect((await it.models.resolve('org/tiny-flux')).hash).not.toBe(once.hash);
    });

    test.each(['tiny-sd', 'org/tiny-flux'])('gives %s a size and defaults that its own rules allow', async (name) => {
      const { nativeSize, sizeMultiple, defaults, schedulers, path } = await it.models.resolve(name);
      expect(path).toMatch(/^\//);
      expect([nativeSize.width % sizeMultiple, nativeSize.height % sizeMultiple]).toEqual([0, 0]);
      expect(schedulers).toContain(defaults.scheduler);
    });

    test('resolves what is there without a download, and refuses what is not', async () => {
      const none = { download: false };
      expect(await it.models.resolve('org/tiny-flux', none)).toEqual(await it.models.resolve('org/tiny-flux'));
      const missing = { name: 'InputError', code: 'model_missing' };
      await expect(it.models.resolve('org/of-the-hub', none)).rejects.toMatchObject(missing);
    });

    test('names the known models when it is asked for another', async () => {
      const resolve = it.models.resolve('tiny-ds');
      await expect(resolve).rejects.toMatchObject({ name: 'InputError', code: 'model_missing' });
      await expect(resolve).rejects.toThrow(/"tiny-ds".*org\/tiny-flux, tiny-sd/);
    });

    test('resolves a LoRA by its name, with or without its ending', async () => {
      const once = await it.models.resolveLora('ink');
      expect(once).toMatchObject({
        name: 'ink',
        path: expect.stringMatching(/^\/.*ink\.safetensors$/),
        hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
        bytes: expect.any(Number),
      });
      expect(await it.models.resolveLora('ink.safetensors')).toEqual(once);
    });

    test('names a LoRA that was meant when it is asked for another', async () => {
      const resolve = it.models.resolveLora('inc');
      await expect(resolve).rejects.toMatchObject({ name: 'InputError', code: 'lora_missing' });
      await expect(resolve).rejects.toThrow(/no LoRA "inc"; did you mean ink\?/);
    });

    test('checks itself and names its models', async () => {
      const [first] = await it.models.check();
      expect(first).toMatchObject({ name: 'models', status: 'ok', detail: expect.stringContaining('tiny-sd') });
    });
  });
}
