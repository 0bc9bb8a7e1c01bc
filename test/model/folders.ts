import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Files of a pipeline folder by path; a value that is no Buffer is written as JSON. */
export type Files = Record<string, unknown>;

/** Writes a folder; null leaves a file out. */
export async function writeFolder(folder: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    if (content === null) continue;
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), Buffer.isBuffer(content) ? content : JSON.stringify(content));
  }
}

/** A valid safetensors file of one tensor whose bytes are the text. */
export function safetensors(text = 'weights!'): Buffer {
  const header = {
    __metadata__: { format: 'pt' },
    w: { dtype: 'U8', shape: [text.length], data_offsets: [0, text.length] },
  };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.from(text, 'latin1')]);
}

const VAE = { _class_name: 'AutoencoderKL', block_out_channels: [128, 256, 512, 512] };
const TOKENIZER: Files = { 'tokenizer/vocab.json': { a: 0 }, 'tokenizer/merges.txt': Buffer.from('#version\n') };

/** Stable Diffusion 1.5's layout and configs, with a few bytes of weights. */
export const SD: Files = {
  'model_index.json': {
    _class_name: 'StableDiffusionPipeline',
    _diffusers_version: '0.40.0',
    feature_extractor: ['transformers', 'CLIPImageProcessor'],
    image_encoder: [null, null],
    requires_safety_checker: true,
    safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
    scheduler: ['diffusers', 'PNDMScheduler'],
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: ['diffusers', 'AutoencoderKL'],
  },
  'scheduler/scheduler_config.json': { _class_name: 'PNDMScheduler', prediction_type: 'epsilon' },
  'text_encoder/config.json': {},
  'text_encoder/model.safetensors': safetensors('text'),
  ...TOKENIZER,
  'unet/config.json': { _diffusers_version: '0.40.0', sample_size: 64 },
  'unet/diffusion_pytorch_model.safetensors': safetensors('unet'),
  'vae/config.json': VAE,
  'vae/diffusion_pytorch_model.safetensors': safetensors('vae'),
};

/** Flux dev's layout and configs; the transformer comes in two shards. */
export const FLUX: Files = {
  'model_index.json': {
    _class_name: 'FluxPipeline',
    scheduler: ['diffusers', 'FlowMatchEulerDiscreteScheduler'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    transformer: ['diffusers', 'FluxTransformer2DModel'],
    vae: ['diffusers', 'AutoencoderKL'],
  },
  'scheduler/scheduler_config.json': { _class_name: 'FlowMatchEulerDiscreteScheduler' },
  ...TOKENIZER,
  'transformer/config.json': { guidance_embeds: true, patch_size: 1 },
  'transformer/diffusion_pytorch_model.safetensors.index.json': {
    weight_map: {
      a: 'diffusion_pytorch_model-00001-of-00002.safetensors',
      b: 'diffusion_pytorch_model-00002-of-00002.safetensors',
      c: 'diffusion_pytorch_model-00002-of-00002.safetensors',
    },
  },
  'transformer/diffusion_pytorch_model-00001-of-00002.safetensors': safetensors('one'),
  'transformer/diffusion_pytorch_model-00002-of-00002.safetensors': safetensors('two'),
  'vae/config.json': VAE,
  'vae/diffusion_pytorch_model.safetensors': safetensors('vae'),
};
