import type { Anatomy } from '../../src/preset/anatomy.ts';

const CLIP_L = {
  name: 'text_encoder',
  parameters: 123_060_480,
  linear: 84_934_656,
  width: 768,
  layers: 12,
  tokens: 77,
  biases: 0,
};
const VAE = {
  parameters: 83_653_863,
  channels: [128, 256, 512, 512],
  layers: 2,
  latentChannels: 4,
  sampleSize: 512,
  overflows: false,
};

/** The real models', with files in half precision. */
export const SD15: Anatomy = {
  denoiser: {
    kind: 'unet',
    parameters: 859_520_964,
    linear: 270_049_280,
    channels: [320, 640, 1280, 1280],
    layers: 2,
    attention: [1, 1, 1, 0],
    heads: [8, 8, 8, 8],
    headChannels: null,
    patch: 1,
    passes: 'together',
  },
  textEncoders: [CLIP_L],
  vae: VAE,
  fileBytes: 2_132_470_614,
  fileDtype: 'float16',
};

export const SDXL: Anatomy = {
  denoiser: {
    kind: 'unet',
    parameters: 2_567_463_684,
    linear: 2_232_647_680,
    channels: [320, 640, 1280],
    layers: 2,
    attention: [0, 2, 10],
    heads: [5, 10, 20],
    headChannels: 64,
    patch: 1,
    passes: 'together',
  },
  textEncoders: [
    CLIP_L,
    { ...CLIP_L, name: 'text_encoder_2', parameters: 694_659_840, linear: 630_784_000, width: 1280, layers: 32 },
  ],
  vae: { ...VAE, sampleSize: 1024, overflows: true },
  fileBytes: 6_937_675_734,
  fileDtype: 'float16',
};

export const FLUX: Anatomy = {
  denoiser: {
    kind: 'transformer',
    parameters: 11_901_408_320,
    linear: 11_898_322_944,
    channels: [3072],
    layers: 57,
    attention: [],
    heads: [24],
    headChannels: 128,
    patch: 2,
    passes: 'apart',
  },
  textEncoders: [
    CLIP_L,
    {
      name: 'text_encoder_2',
      parameters: 4_762_310_656,
      linear: 4_630_511_616,
      width: 4096,
      layers: 24,
      tokens: 512,
      biases: 64,
    },
  ],
  vae: { ...VAE, parameters: 83_819_683, latentChannels: 16, sampleSize: 1024 },
  fileBytes: 33_741_198_278,
  fileDtype: 'bfloat16',
};
