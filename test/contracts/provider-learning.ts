import { describe, expect, it } from 'vitest';
import type { Provider } from '../../src/ports.ts';
import { type Change, codesOf, OTHER_MODEL } from './batches.ts';
import { type MakeProvider, providerBench } from './provider-bench.ts';

/** What every provider learns of memory and of black pictures; see `Provider` in `src/ports.ts`. */
export function providerLearningContract(name: string, make: MakeProvider): void {
  describe(`the ${name} provider, when memory runs out`, () => {
    const { opened, batchOf } = providerBench(make);
    const PIXELS = 64 * 48;
    const limitOf = (provider: Provider, change: Change = {}) => {
      const [job] = batchOf(['a'], change).jobs;
      return job === undefined ? 0 : provider.limit(job, 'cpu', change.safe ?? false);
    };

    it('halves the batch until it fits, and another shape keeps its limit', async () => {
      const provider = opened({ memoryPixels: { plain: PIXELS } });
      const four = await provider.make(batchOf(['a', 'b', 'c', 'd']), {});
      expect(four.answers).toMatchObject(Array(4).fill({ code: 'out_of_memory', retryable: true }));
      expect([limitOf(provider), limitOf(provider, { width: 48 }), limitOf(provider, { guidance: 1 })]).toEqual([
        2, 4, 4,
      ]);
      await provider.make(batchOf(['a', 'b']), {});
      expect(limitOf(provider)).toBe(1);
      const { answers, shared } = await provider.make(batchOf(['a']), {});
      expect([answers[0]?.kind, shared.engine.preset, limitOf(provider)]).toEqual(['made', 'plain', 1]);
    });

    it('does not try a batch that is known not to fit', async () => {
      const provider = opened({ memoryPixels: { plain: PIXELS } });
      await provider.make(batchOf(['a', 'b']), {});
      const result = await provider.make(batchOf(['a', 'b', 'c', 'd']), {});
      expect(result.answers).toMatchObject(Array(4).fill({ code: 'out_of_memory', retryable: true }));
      expect(result.overhead).toEqual([]);
    });

    it('tells of safe batches the limit that it refuses them by, or they would be refused for ever', async () => {
      const provider = opened({ memoryPixels: { 'plain+safe': 2 * PIXELS } });
      const four = batchOf(['a', 'b', 'c', 'd'], { safe: true });
      expect(limitOf(provider, { safe: true })).toBe(4);
      expect(codesOf(await provider.make(four, {}))).toEqual(Array(4).fill('out_of_memory'));
      const again = await provider.make(four, {});
      expect([codesOf(again)[0], again.shared.seconds]).toEqual(['out_of_memory', 0]);
      expect([limitOf(provider, { safe: true }), limitOf(provider)]).toEqual([2, 4]);
      expect(codesOf(await provider.make(batchOf(['a', 'b'], { safe: true }), {}))).toEqual(['made', 'made']);
    });

    it('goes down to the preset below, and says so in the facts of the engine', async () => {
      const provider = opened({ memoryPixels: { plain: PIXELS - 1 } });
      const { answers } = await provider.make(batchOf(['a']), {});
      expect(answers).toMatchObject([{ code: 'out_of_memory', retryable: true }]);
      const { answers: again, shared } = await provider.make(batchOf(['a']), {});
      expect([again[0]?.kind, shared.engine.preset, limitOf(provider)]).toEqual(['made', 'low-vram', 1]);
      expect((await provider.make(batchOf(['a'], { width: 48 }), {})).shared.engine.preset).toBe('plain');
    });

    it('fails for good what fits with nothing, with all that was tried, and then without a try', async () => {
      const provider = opened({ memoryPixels: { plain: PIXELS - 1, 'low-vram': PIXELS - 1 } });
      for (const prompts of [['a', 'b', 'c', 'd'], ['a', 'b'], ['a']]) await provider.make(batchOf(prompts), {});
      const lost = {
        code: 'out_of_memory',
        retryable: false,
        message: '64x48 does not fit on cpu: tried plain in batches of 4, 2, 1 and low-vram in batches of 1',
      };
      expect((await provider.make(batchOf(['a']), {})).answers).toMatchObject([lost]);
      expect(limitOf(provider)).toBe(1);
      const next = await provider.make(batchOf(['a']), {});
      expect(next.answers).toMatchObject([lost]);
      expect([next.overhead, next.shared.seconds, provider.resident('cpu')]).toEqual([[], 0, null]);
    });
  });

  describe(`the ${name} provider, when pictures are black`, () => {
    const { opened, batchOf } = providerBench(make);
    it('makes a batch with the VAE in float32 where it is to be safe, as another engine', async () => {
      const provider = opened();
      const dark = await provider.make(batchOf(['BLACK', 'day']), {});
      expect(codesOf(dark)).toEqual(['black_image', 'made']);
      const light = await provider.make(batchOf(['BLACK'], { safe: true }), {});
      expect(codesOf(light)).toEqual(['made']);
      expect(light.shared.engine).toMatchObject({ preset: 'plain+safe', settings: { vae_dtype: 'float32' } });
      expect(light.shared.engine.id).not.toBe(dark.shared.engine.id);
    });

    it('goes on safely with a model and preset that this has helped, and with no other', async () => {
      const provider = opened();
      expect(codesOf(await provider.make(batchOf(['FAIL'], { safe: true }), {}))).toEqual(['black_image']);
      const presetOf = async (change: Change = {}) =>
        (await provider.make(batchOf(['day'], change), {})).shared.engine.preset;
      expect(await presetOf()).toBe('plain');
      await provider.make(batchOf(['FAIL', 'BLACK'], { safe: true }), {});
      expect(await presetOf()).toBe('plain+safe');
      expect(codesOf(await provider.make(batchOf(['BLACK', 'day']), {}))).toEqual(['made', 'made']);
      expect([await presetOf({ preset: 'fp32' }), await presetOf({ modelHash: OTHER_MODEL })]).toEqual([
        'fp32',
        'plain',
      ]);
    });

    it('makes what never was black without the safe settings, where it fits with nothing else', async () => {
      const provider = opened({ memoryPixels: { 'plain+safe': 64 * 48, 'low-vram+safe': 64 * 48 } });
      await provider.make(batchOf(['BLACK'], { safe: true }), {});
      const large = { width: 128 };
      const make = async (change: Change) => {
        const { answers, shared } = await provider.make(batchOf(['day'], { ...large, ...change }), {});
        return [answers[0]?.kind, shared.engine.preset];
      };
      for (const preset of ['plain+safe', 'low-vram+safe']) expect(await make({})).toEqual(['failure', preset]);
      expect(await make({})).toEqual(['made', 'plain']);
      const [dark] = (await provider.make(batchOf(['BLACK'], { ...large, safe: true }), {})).answers;
      expect(dark).toMatchObject({ code: 'out_of_memory', retryable: false });
      expect((await provider.make(batchOf(['day']), {})).shared.engine.preset).toBe('plain+safe');
    });
  });
}
