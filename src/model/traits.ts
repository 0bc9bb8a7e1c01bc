import { z } from 'zod';
import { SCHEDULERS, SCHEDULES, type ScheduleName, type SchedulerName } from '../job/request.ts';
import type { Model } from '../ports.ts';

/** The parts of the component configs that say how a model wants to be used; null where there is no such component. */
export interface Configs {
  readonly className: string;
  readonly unet: z.infer<typeof denoiserSchema> | null;
  readonly transformer: z.infer<typeof denoiserSchema> | null;
  readonly vae: z.infer<typeof vaeSchema> | null;
  readonly scheduler: z.infer<typeof schedulerSchema> | null;
  readonly schedulerClass: string;
  readonly textEncoder: z.infer<typeof textEncoderSchema> | null;
}

export type Traits = Pick<Model, 'family' | 'nativeSize' | 'sizeMultiple' | 'defaults' | 'schedulers' | 'clipLayers'>;

/** What the door must know of a model, from its configs alone; `own` is what the folder's `kilnwatt.json` sets. */
export function traitsOf(configs: Configs, own: OwnSettings): Traits {
  const family = FAMILIES[configs.className] ?? 'other';
  const schedulers = family === 'flux' || isFlow(configs) ? FLOW : DIFFUSION;
  const native = nativeSizeOf(family, configs);
  const [width, height] = own.native_size ?? [native.width, native.height];
  return {
    family,
    nativeSize: { width, height },
    sizeMultiple: sizeMultipleOf(family, configs),
    defaults: { ...defaultsOf(family, configs), ...own.defaults },
    schedulers,
    clipLayers: clipLayersOf(family, configs),
  };
}

const positive = z.number().int().positive();
const pair = z.tuple([positive, positive]);

export const denoiserSchema = z.object({
  _diffusers_version: z.string().nullish(),
  sample_size: z.union([positive, pair]).nullish(),
  patch_size: z.union([positive, z.array(positive)]).nullish(),
  guidance_embeds: z.boolean().nullish(),
});

export const vaeSchema = z.object({ block_out_channels: z.array(positive).min(1).nullish() });

export const textEncoderSchema = z.object({ num_hidden_layers: positive.nullish() });

export const schedulerSchema = z.object({
  prediction_type: z.string().nullish(),
  timestep_spacing: z.string().nullish(),
  rescale_betas_zero_snr: z.boolean().nullish(),
  use_karras_sigmas: z.boolean().nullish(),
  use_exponential_sigmas: z.boolean().nullish(),
  use_beta_sigmas: z.boolean().nullish(),
});

/** `kilnwatt.json` in a model's folder: what its maker or its user knows better than its configs. */
export const ownSettingsSchema = z.strictObject({
  native_size: pair.exactOptional(),
  defaults: z
    .strictObject({
      steps: positive.exactOptional(),
      guidance: z.number().min(0).exactOptional(),
      distilledGuidance: z.number().min(0).nullable().exactOptional(),
      scheduler: z.enum(SCHEDULERS).exactOptional(),
      schedule: z.enum(SCHEDULES).exactOptional(),
    })
    .exactOptional(),
});
export type OwnSettings = z.infer<typeof ownSettingsSchema>;

const FAMILIES: Readonly<Record<string, Model['family']>> = {
  StableDiffusionPipeline: 'sd',
  StableDiffusionXLPipeline: 'sdxl',
  FluxPipeline: 'flux',
};
const FLOW: readonly SchedulerName[] = ['flow_match_euler'];
const DIFFUSION: readonly SchedulerName[] = SCHEDULERS.filter((name) => name !== 'flow_match_euler');
/** The factor that diffusers assumes without a VAE. */
const VAE_FACTOR = 8;
/** `default_sample_size` of the Flux and SDXL pipelines; SD 1 configs without a size mean 64. */
const SAMPLE_SIZE = { sd: 64, sdxl: 128, flux: 128, other: 128 } as const;

/** transformers' own number where the config is silent. */
const CLIP_LAYERS = 12;

function clipLayersOf(family: Model['family'], { textEncoder }: Configs): number | null {
  if (family !== 'sd' && family !== 'sdxl') return null;
  return textEncoder?.num_hidden_layers ?? CLIP_LAYERS;
}

function isFlow(configs: Configs): boolean {
  return configs.schedulerClass.startsWith('FlowMatch') || configs.scheduler?.prediction_type === 'flow_prediction';
}

/** Pixels of the VAE's picture for one latent. */
function vaeFactorOf({ vae }: Configs): number {
  return vae?.block_out_channels == null ? VAE_FACTOR : 2 ** (vae.block_out_channels.length - 1);
}

/** The size that the bare pipeline makes when it is not told any. FluxPipeline does not look at its transformer's. */
function nativeSizeOf(family: Model['family'], configs: Configs): Model['nativeSize'] {
  const denoiser = configs.unet ?? configs.transformer;
  const written = family === 'flux' ? null : (denoiser?.sample_size ?? null);
  const size = family === 'sd' && isOldSmall(configs) ? SAMPLE_SIZE.sd : (written ?? SAMPLE_SIZE[family]);
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  return { width: width * vaeFactorOf(configs), height: height * vaeFactorOf(configs) };
}

/** diffusers corrects configs from before 0.9.0, which gave 32 for a model of 64. */
function isOldSmall({ unet }: Configs): boolean {
  const version = /^0\.(\d+)\./.exec(unet?._diffusers_version ?? '');
  return version !== null && Number(version[1]) < 9 && typeof unet?.sample_size === 'number' && unet.sample_size < 64;
}

function sizeMultipleOf(family: Model['family'], configs: Configs): number {
  const factor = vaeFactorOf(configs);
  if (family === 'flux') return factor * 2;
  if (configs.transformer === null) return Math.max(8, factor);
  const patch = configs.transformer.patch_size;
  return factor * Math.max(2, ...(typeof patch === 'number' ? [patch] : (patch ?? [])));
}

function defaultsOf(family: Model['family'], configs: Configs): Model['defaults'] {
  if (family === 'flux') return fluxDefaults(configs);
  if (isFlow(configs)) {
    const schedule = ownScheduleOf(configs) ?? 'normal';
    return { steps: 28, guidance: 5, distilledGuidance: null, scheduler: 'flow_match_euler', schedule };
  }
  const guidance = family === 'sdxl' ? 6 : 7;
  const plain = { steps: 20, distilledGuidance: null, scheduler: 'dpmpp_2m' } as const;
  const own = ownScheduleOf(configs);
  if (needsItsOwnSpacing(configs)) return { ...plain, guidance: 5, schedule: own ?? 'normal' };
  return { ...plain, guidance, schedule: own ?? (family === 'other' ? 'normal' : 'karras') };
}

/** The spacing that the model's scheduler is configured with beside the plain one. */
function ownScheduleOf({ scheduler }: Configs): ScheduleName | undefined {
  if (scheduler?.use_karras_sigmas === true) return 'karras';
  if (scheduler?.use_exponential_sigmas === true) return 'exponential';
  return scheduler?.use_beta_sigmas === true ? 'beta' : undefined;
}

/** Flux takes guidance as an input; the distilled `schnell` takes none and needs four steps. */
function fluxDefaults(configs: Configs): Model['defaults'] {
  const guided = configs.transformer?.guidance_embeds === true;
  const schedule = ownScheduleOf(configs) ?? 'normal';
  const common = { guidance: 1, scheduler: 'flow_match_euler', schedule } as const;
  return { ...common, steps: guided ? 28 : 4, distilledGuidance: guided ? 3.5 : null };
}

/** A v-prediction model trained down to zero signal is spoiled by Karras' spacing. */
function needsItsOwnSpacing({ scheduler }: Configs): boolean {
  if (scheduler?.prediction_type !== 'v_prediction') return false;
  return scheduler.rescale_betas_zero_snr === true || scheduler.timestep_spacing === 'trailing';
}
