import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeBytes, denoiseBytes, encodeBytes } from '../../src/preset/activations.ts';
import type { Anatomy } from '../../src/preset/anatomy.ts';
import type { Footprint } from '../../src/preset/explanation.ts';
import { footprintOf, reserveOf } from '../../src/preset/fit.ts';
import { NEUTRAL, type PresetSettings } from '../../src/preset/settings.ts';
import { FLUX, SD15, SDXL } from './anatomies.ts';

const GB = 1e9;
const SQUARE = { width: 1024, height: 1024, guided: true };

interface Recorded {
  readonly parameters: Record<string, { denoiser: number; vae: number; encoders: readonly number[] }>;
  readonly peaks: readonly {
    readonly model: 'sd' | 'sdxl' | 'flux';
    readonly dtype: 'float16' | 'float32';
    readonly width: number;
    readonly height: number;
    readonly rows: number;
    readonly denoise: number;
    readonly decode: number;
    readonly decode_tiled: number;
    readonly encode: number;
  }[];
}

/** Made by `python -m tests.live_memory --record`, from diffusers' own classes at full size. */
const RECORD: Recorded = JSON.parse(
  readFileSync(resolve(import.meta.dirname, '../fixtures/memory/full-size.json'), 'utf8'),
);
const ANATOMIES: Readonly<Record<'sd' | 'sdxl' | 'flux', Anatomy>> = { sd: SD15, sdxl: SDXL, flux: FLUX };

function footprint(anatomy: Anatomy, settings: Partial<PresetSettings> = {}, batch = 1): Footprint {
  return footprintOf({ settings: { ...NEUTRAL, ...settings }, anatomy, shape: SQUARE, batch, device: 'cuda' });
}

function partOf({ parts }: Footprint, what: string): number {
  const part = parts.find((one) => one.what === what);
  if (part === undefined) throw new Error(`${what} is none of ${parts.map((one) => one.what).join(', ')}`);
  return part.bytes;
}

describe('the formulas, at full size', () => {
  it('are about the architectures that the record was made of', () => {
    for (const [name, { denoiser, vae, textEncoders }] of Object.entries(ANATOMIES)) {
      expect(RECORD.parameters[name]).toEqual({
        denoiser: denoiser.parameters,
        vae: vae.parameters,
        encoders: textEncoders.map(({ parameters }) => parameters),
      });
    }
  });

  it.each(['denoise', 'decode', 'decode_tiled', 'encode'] as const)('are within 15 %% of the truth in %s', (phase) => {
    const errors = RECORD.peaks.map((peak) => {
      const anatomy = ANATOMIES[peak.model];
      const bytes = peak.dtype === 'float16' ? 2 : 4;
      const shape = { ...peak, guided: false };
      const said = {
        denoise: denoiseBytes({ anatomy, shape, batch: peak.rows, bytes, attention: 'sdpa' }),
        decode: decodeBytes(anatomy, shape, { vae_tiling: false, decoder: 'own' }, bytes),
        decode_tiled: decodeBytes(anatomy, shape, { vae_tiling: true, decoder: 'own' }, bytes),
        encode: Math.max(...anatomy.textEncoders.map((encoder) => encodeBytes(encoder, peak.rows, bytes))),
      }[phase];
      return { ...peak, error: said / peak[phase] - 1 };
    });
    expect(errors).toHaveLength(36);
    expect(errors.filter(({ error }) => Math.abs(error) > 0.15)).toEqual([]);
  });
});

describe('a footprint', () => {
  it('is that of the worst phase, and says how each figure came about', () => {
    const found = footprint(SDXL);
    const worst = Math.max(
      ...['encoding', 'denoising', 'decoding'].map((verb) => partOf(found, `in all while ${verb}`)),
    );
    expect(found.deviceBytes).toBe(worst);
    expect(found.ground).toBe('computed');
    expect(found.parts.every(({ detail }) => detail.length > 0)).toBe(true);
    const denoiser = found.parts.find(({ what }) => what === 'weights of the denoiser');
    expect(denoiser).toEqual({
      what: 'weights of the denoiser',
      bytes: 2 * 2_567_463_684,
      ground: 'computed',
      detail: '2,567 M parameters in float16',
    });
  });

  it('of SDXL on a card is near what was published for it: 10.47 GiB with everything resident', () => {
    expect(footprint(SDXL).deviceBytes / (10.47 * 2 ** 30)).toBeGreaterThan(0.9);
    expect(footprint(SDXL).deviceBytes / (10.47 * 2 ** 30)).toBeLessThan(1.1);
  });

  it('of a VAE that overflows is decoded in float32, and a fixed one in half precision', () => {
    const fixed = { ...SDXL, vae: { ...SDXL.vae, overflows: false } };
    expect(partOf(footprint(SDXL), 'activations of decoding')).toBe(
      2 * partOf(footprint(fixed), 'activations of decoding'),
    );
    expect(partOf(footprint(SDXL, { vae_dtype: 'float16' }), 'activations of decoding')).toBe(
      partOf(footprint(fixed), 'activations of decoding'),
    );
  });

  it('on a CPU is in float32, all of it in the one memory that there is', () => {
    const found = footprintOf({ settings: NEUTRAL, anatomy: SD15, shape: SQUARE, batch: 1, device: 'cpu' });
    expect(partOf(found, 'weights of the denoiser')).toBe(4 * SD15.denoiser.parameters);
    expect(found.hostBytes).toBe(found.deviceBytes);
  });

  it('grows with the batch while denoising, and not while decoding, which goes picture by picture', () => {
    const [one, four] = [footprint(SDXL), footprint(SDXL, {}, 4)];
    const step = 'activations of a denoise step';
    expect(partOf(four, step) / partOf(one, step)).toBeCloseTo(4, 5);
    expect(partOf(four, 'activations of decoding')).toBe(partOf(one, 'activations of decoding'));
  });

  it('is that of several small pictures decoded together, unless they are decoded one by one', () => {
    const decoding = (side: number, batch: number, slicing: boolean): number => {
      const shape = { width: side, height: side, guided: true };
      const settings = { ...NEUTRAL, vae_slicing: slicing };
      return partOf(footprintOf({ settings, anatomy: SD15, shape, batch, device: 'cuda' }), 'activations of decoding');
    };
    expect(decoding(256, 8, false)).toBe(4 * decoding(256, 1, false));
    expect(decoding(256, 2, false)).toBe(2 * decoding(256, 1, false));
    expect(decoding(256, 8, true)).toBe(decoding(256, 1, true));
    expect(decoding(512, 8, false)).toBe(decoding(512, 1, false));
  });

  it('of guidance is that of two rows a picture, but for Flux, whose passes come one after the other', () => {
    const step = (anatomy: Anatomy, guided: boolean): number =>
      partOf(
        footprintOf({ settings: NEUTRAL, anatomy, shape: { ...SQUARE, guided }, batch: 1, device: 'cuda' }),
        'activations of a denoise step',
      );
    expect(step(SDXL, true) / step(SDXL, false)).toBeCloseTo(2, 5);
    expect(step(FLUX, true) / step(FLUX, false)).toBeLessThan(1.1);
  });

  it('counts a batch that is padded to a bucket as large as the bucket', () => {
    const step = 'activations of a denoise step';
    expect(partOf(footprint(SDXL, { buckets: [1, 4] }, 2), step)).toBe(partOf(footprint(SDXL, {}, 4), step));
    expect(partOf(footprint(SDXL, { buckets: [1, 4] }, 5), step)).toBe(partOf(footprint(SDXL, {}, 5), step));
  });
});

describe('what saves memory', () => {
  it.each([
    ['tiling', SDXL, { vae_tiling: true }],
    ['a tiny decoder', SDXL, { decoder: 'tiny' }],
    ['weights in eight bits', FLUX, { quantize: 'int8_weights' }],
    ['weights in four bits', FLUX, { quantize: 'nf4', quantize_text: 'nf4' }],
    ['fp8 storage', SDXL, { quantize: 'fp8_storage' }],
    ['model offload', FLUX, { offload: 'model' }],
    ['group offload', FLUX, { offload: 'group' }],
    ['sequential offload', FLUX, { offload: 'sequential' }],
  ] as const)('does, by the fit test: %s', (_, anatomy, settings) => {
    expect(footprint(anatomy, settings).deviceBytes).toBeLessThan(0.95 * footprint(anatomy).deviceBytes);
  });

  it('quantises linear layers alone, and the largest text encoder alone', () => {
    const found = footprint(SDXL, { quantize: 'int8_weights', quantize_text: 'nf4' });
    const { parameters, linear } = SDXL.denoiser;
    expect(partOf(found, 'weights of the denoiser')).toBe(linear + 2 * (parameters - linear));
    expect(partOf(found, 'weights of text_encoder')).toBe(partOf(footprint(SDXL), 'weights of text_encoder'));
    expect(partOf(found, 'weights of text_encoder_2')).toBeLessThan(
      0.4 * partOf(footprint(SDXL), 'weights of text_encoder_2'),
    );
  });

  it('takes text encoders away while denoising and decoding, and not while they encode', () => {
    const [plain, away] = [footprint(FLUX), footprint(FLUX, { offload: 'text_encoders' })];
    expect(partOf(away, 'in all while encoding')).toBe(partOf(plain, 'in all while encoding'));
    expect(partOf(plain, 'in all while denoising') - partOf(away, 'in all while denoising')).toBeCloseTo(
      2 * FLUX.textEncoders.reduce((sum, { parameters }) => sum + parameters, 0),
      -3,
    );
  });

  it('never has a text encoder whole on the card where weights are streamed: T5 alone is more than a card of 8 GB', () => {
    const encoding = partOf(footprint(FLUX, { offload: 'group' }), 'in all while encoding');
    expect(encoding / GB).toBeGreaterThan(1);
    expect(encoding / GB).toBeLessThan(2.5);
  });

  it('does not fuse projections for memory: those that were fused are dropped', () => {
    expect(footprint(SDXL, { fused_qkv: true }).deviceBytes).toBe(footprint(SDXL).deviceBytes);
  });

  it('keeps prompts in the host’s memory, 1.1 GB of them at most', () => {
    const kept = (anatomy: Anatomy, prompts: number): number =>
      footprint(anatomy, { offload: 'text_encoders', prompt_cache: prompts }).hostBytes -
      footprint(anatomy, { offload: 'text_encoders' }).hostBytes;
    expect(kept(FLUX, 100)).toBe(100 * 512 * 4096 * 2);
    expect(kept(SDXL, 256)).toBe(256 * 77 * 2048 * 2);
    expect(kept(FLUX, 100_000)).toBe(1.1 * GB);
  });

  it('is paid for with the host’s memory: what was moved there, and twice that for streams', () => {
    const kept = (offload: PresetSettings['offload']): number =>
      partOf(footprint(FLUX, { offload }), 'kept in the host’s memory');
    expect(kept('none')).toBe(0);
    expect(kept('model') / GB).toBeCloseTo(33.74, 1);
    expect((kept('group') - kept('text_encoders')) / GB).toBeCloseTo(2 * 23.8, 1);
    expect(footprint(FLUX, { offload: 'group' }).hostBytes).toBeGreaterThan(kept('group'));
  });

  it('is needed for loading all the same: the host holds all weights once, and a part twice that changes its dtype', () => {
    const loading = (dtype: PresetSettings['dtype']): number =>
      partOf(footprint(SDXL, { dtype, offload: 'sequential' }), 'in all while loading');
    expect(loading('float16') / GB).toBeCloseTo(6.94, 1);
    expect(loading('float32') / GB).toBeCloseTo(2 * 6.94 + 5.13, 1);
    // What is used as it is in its file, the host may drop on its way to the card.
    expect(footprint(SDXL, { dtype: 'float32' }).hostBytes).toBeGreaterThan(loading('float32'));
    expect(footprint(SDXL, { dtype: 'float16' }).hostBytes).toBeLessThan(2 * GB);
  });
});

describe('what costs memory', () => {
  it('attention without a kernel grows with the square of the area, in slices with half a head’s share of it', () => {
    const step = (attention: PresetSettings['attention']): number =>
      partOf(footprint(SD15, { attention }), 'activations of a denoise step');
    // On the meta device, one row of 1024x1024 in float16 took 17.38 GB, 4.43 GB in slices.
    expect(step('sdpa_math') / 2 / (17.38 * GB)).toBeCloseTo(1, 1);
    expect(step('sliced') / 2 / (4.43 * GB)).toBeCloseTo(1, 1);
    expect(step('xformers')).toBe(step('sdpa'));
  });

  it('LoRAs take what their files have, wherever the denoiser is', () => {
    const load = { anatomy: SDXL, shape: SQUARE, batch: 1, device: 'cuda' } as const;
    const more = (offload: PresetSettings['offload']): number => {
      const settings = { ...NEUTRAL, offload };
      const [without, with_] = [footprintOf({ ...load, settings }), footprintOf({ ...load, settings, loraBytes: GB })];
      expect(partOf(with_, 'in all while loading')).toBe(partOf(without, 'in all while loading'));
      return partOf(with_, 'in all while denoising') - partOf(without, 'in all while denoising');
    };
    expect([more('none'), more('text_encoders'), more('model')]).toEqual([GB, GB, GB]);
    expect(more('group')).toBeLessThan(GB);
  });

  it('CUDA graphs keep the memory of a step while a picture is decoded', () => {
    const graphs = footprint(SDXL, { compile: 'full', compile_mode: 'reduce-overhead' }, 4);
    const more = partOf(graphs, 'in all while decoding') - partOf(footprint(SDXL, {}, 4), 'in all while decoding');
    expect(more).toBeCloseTo(partOf(graphs, 'activations of a denoise step'), -1);
    expect(footprint(SDXL, { compile: 'regional' }, 4).deviceBytes).toBe(footprint(SDXL, {}, 4).deviceBytes);
  });
});

describe('the reserve', () => {
  it('grows with the device, and is larger where the worker’s libraries lie in the same memory', () => {
    expect(reserveOf(12 * GB)).toBe(660e6);
    expect(reserveOf(24 * GB)).toBeGreaterThan(reserveOf(12 * GB));
    expect(reserveOf(16 * GB, 'cpu')).toBeGreaterThan(reserveOf(16 * GB));
  });
});
