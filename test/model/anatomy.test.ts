import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { anatomyOf, type Described } from '../../src/model/anatomy.ts';
import { DiskRegistry } from '../../src/model/registry.ts';
import { checkSafetensors } from '../../src/model/safetensors.ts';
import { anatomySchema } from '../../src/preset/anatomy.ts';
import { FLUX as FLUX_ANATOMY, SD15, SDXL } from '../preset/anatomies.ts';
import { FLUX, SD, writeFolder } from './folders.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kilnwatt-anatomy-'));
});
afterEach(() => rm(root, { recursive: true }));

interface Weighed {
  readonly className: string;
  readonly library?: string;
  readonly config: unknown;
  readonly parameters: number;
  readonly linear: number;
}

/** A file with as many parameters as the real one, of which the head is written and the rest is a hole. */
async function described(name: string, part: Weighed, dtype: 'F16' | 'BF16'): Promise<Described> {
  const { className, library = 'diffusers', config, parameters, linear } = part;
  const tensors: Record<string, readonly number[]> = {
    'blocks.0.ff.net.0.proj.weight': [linear / 64, 64],
    'text_model.embeddings.token_embedding.weight': [1000, 64],
    'conv_in.weight': [parameters - linear - 64_000 - 9, 1, 1, 1],
    'conv_in.bias': [9],
  };
  let end = 0;
  const header = Object.fromEntries(
    Object.entries(tensors).map(([key, shape]) => {
      const start = end;
      end += 2 * shape.reduce((product, side) => product * side, 1);
      return [key, { dtype, shape, data_offsets: [start, end] }];
    }),
  );
  const positions = { dtype: 'I64', shape: [1, 77], data_offsets: [end, end + 616] };
  const json = Buffer.from(JSON.stringify({ ...header, position_ids: positions }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const path = join(root, `${name}.safetensors`);
  await writeFile(path, Buffer.concat([length, json]));
  const file = await open(path, 'r+');
  await file.truncate(8 + json.length + end + 616);
  await file.close();
  return { name, library, className, config, contents: await checkSafetensors(path) };
}

const VAE_CONFIG = {
  block_out_channels: [128, 256, 512, 512],
  layers_per_block: 2,
  latent_channels: 4,
  sample_size: 512,
};
const CLIP_L: Weighed = {
  className: 'CLIPTextModel',
  library: 'transformers',
  config: { hidden_size: 768, num_hidden_layers: 12, max_position_embeddings: 77 },
  parameters: 123_060_480,
  linear: 84_934_656,
};
const VAE: Weighed = { className: 'AutoencoderKL', config: VAE_CONFIG, parameters: 83_653_863, linear: 2_097_152 };

const REAL = {
  sd: {
    text_encoder: CLIP_L,
    unet: {
      className: 'UNet2DConditionModel',
      config: {
        sample_size: 64,
        block_out_channels: [320, 640, 1280, 1280],
        layers_per_block: 2,
        cross_attention_dim: 768,
        attention_head_dim: 8,
        down_block_types: [...Array(3).fill('CrossAttnDownBlock2D'), 'DownBlock2D'],
      },
      parameters: 859_520_964,
      linear: 270_049_280,
    },
    vae: VAE,
  },
  sdxl: {
    text_encoder: CLIP_L,
    text_encoder_2: {
      ...CLIP_L,
      className: 'CLIPTextModelWithProjection',
      config: { hidden_size: 1280, num_hidden_layers: 32, max_position_embeddings: 77 },
      parameters: 694_659_840,
      linear: 630_784_000,
    },
    unet: {
      className: 'UNet2DConditionModel',
      config: {
        sample_size: 128,
        block_out_channels: [320, 640, 1280],
        layers_per_block: 2,
        cross_attention_dim: 2048,
        attention_head_dim: [5, 10, 20],
        transformer_layers_per_block: [1, 2, 10],
        down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
      },
      parameters: 2_567_463_684,
      linear: 2_232_647_680,
    },
    vae: { ...VAE, config: { ...VAE_CONFIG, sample_size: 1024, force_upcast: true } },
  },
  flux: {
    text_encoder: CLIP_L,
    text_encoder_2: {
      className: 'T5EncoderModel',
      library: 'transformers',
      config: { model_type: 't5', d_model: 4096, num_layers: 24, num_heads: 64 },
      parameters: 4_762_310_656,
      linear: 4_630_511_616,
    },
    transformer: {
      className: 'FluxTransformer2DModel',
      config: {
        num_layers: 19,
        num_single_layers: 38,
        attention_head_dim: 128,
        num_attention_heads: 24,
        guidance_embeds: true,
        patch_size: 1,
      },
      parameters: 11_901_408_320,
      linear: 11_898_322_944,
    },
    vae: {
      ...VAE,
      config: { ...VAE_CONFIG, latent_channels: 16, sample_size: 1024 },
      parameters: 83_819_683,
    },
  },
} as const satisfies Record<string, Record<string, Weighed>>;

const PIPELINES = { sd: 'StableDiffusionPipeline', sdxl: 'StableDiffusionXLPipeline', flux: 'FluxPipeline' } as const;

async function partsOf(family: keyof typeof REAL): Promise<readonly Described[]> {
  const dtype = family === 'flux' ? 'BF16' : 'F16';
  return Promise.all(Object.entries(REAL[family]).map(([name, part]) => described(name, part, dtype)));
}

describe('the anatomy', () => {
  it.each([
    ['sd', SD15],
    ['sdxl', SDXL],
    ['flux', FLUX_ANATOMY],
  ] as const)('of a real %s comes out of its configs and the heads of its files', async (family, known) => {
    const found = anatomyOf(family, PIPELINES[family], await partsOf(family));
    expect({ ...found, fileBytes: 0 }).toEqual({ ...known, fileBytes: 0 });
    expect((found?.fileBytes ?? 0) / known.fileBytes).toBeCloseTo(1, 4);
    expect(JSON.stringify(found).length).toBeLessThan(1024);
  });

  it('of Flux without guidance as an input has half as many tokens', async () => {
    const { transformer } = REAL.flux;
    const schnell = { ...transformer, config: { ...transformer.config, guidance_embeds: false } };
    const parts = (await partsOf('flux')).filter(({ name }) => name !== 'transformer');
    const found = anatomyOf('flux', PIPELINES.flux, [...parts, await described('transformer', schnell, 'BF16')]);
    expect(found?.textEncoders.map(({ tokens }) => tokens)).toEqual([77, 256]);
  });

  it('is not known where a config does not say enough, or a part is of a kind that nobody here knows', async () => {
    const parts = await partsOf('flux');
    const without = (name: string, change: Partial<Described>): readonly Described[] =>
      parts.map((part) => (part.name === name ? { ...part, ...change } : part));
    for (const wrong of [
      without('transformer', { config: { patch_size: 1 } }),
      without('vae', { className: 'AutoencoderDC' }),
      without('vae', { config: {} }),
      without('text_encoder_2', { config: {} }),
      parts.filter(({ name }) => name !== 'vae'),
    ]) {
      expect(anatomyOf('flux', PIPELINES.flux, wrong)).toBeNull();
    }
  });

  it('knows whose pictures overflow float16', async () => {
    const parts = await partsOf('sdxl');
    const fixed = parts.map((part) =>
      part.name === 'vae' ? { ...part, config: { ...VAE_CONFIG, force_upcast: false } } : part,
    );
    expect(anatomyOf('sdxl', PIPELINES.sdxl, fixed)?.vae.overflows).toBe(false);
    expect(anatomyOf('sd', PIPELINES.sd, parts)?.vae.overflows).toBe(false);
  });
});

describe('a model that is found', () => {
  const registry = (): DiskRegistry => new DiskRegistry({ modelsDir: root, cacheFile: join(root, 'hashes.json') });

  it('has the anatomy of the model in the box', async () => {
    const box = resolve(import.meta.dirname, '../../python-worker/models/kiln-shapes');
    const { anatomy } = await registry().resolve(box);
    expect(anatomySchema.parse(anatomy)).toEqual(anatomy);
    expect(anatomy).toMatchObject({
      denoiser: { kind: 'unet', channels: [64, 96, 128], layers: 1, attention: [0, 1, 1], parameters: 5_970_948 },
      textEncoders: [{ name: 'text_encoder', width: 128, layers: 2, tokens: 24 }],
      vae: { channels: [16, 32, 64, 64], sampleSize: 128 },
      fileBytes: 14_657_678,
      fileDtype: 'float16',
    });
  });

  it('is found all the same where its configs are silent', async () => {
    await writeFolder(join(root, 'flux'), FLUX);
    expect(await registry().resolve('flux')).toMatchObject({ family: 'flux', anatomy: null });
  });

  it('counts all shards of a part', async () => {
    await writeFolder(join(root, 'sd'), SD);
    const one = (await registry().resolve('sd')).anatomy;
    expect(one).toMatchObject({ denoiser: { channels: [320, 640, 1280, 1280] } });
    const silent = {
      ...FLUX,
      'transformer/config.json': { num_layers: 1, num_attention_heads: 2, attention_head_dim: 8 },
    };
    await writeFolder(join(root, 'flux'), silent);
    const shards = (await registry().resolve('flux')).anatomy;
    expect(shards?.fileBytes).toBeGreaterThan(2 * (FLUX['vae/diffusion_pytorch_model.safetensors'] as Buffer).length);
  });
});
