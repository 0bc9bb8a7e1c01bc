import { describe, expect, test } from 'vitest';
import { type Configs, type Traits, traitsOf } from '../../src/model/traits.ts';

const VAE = { block_out_channels: [128, 256, 512, 512] };
const SD: Configs = {
  className: 'StableDiffusionPipeline',
  unet: { _diffusers_version: '0.40.0', sample_size: 64 },
  transformer: null,
  vae: VAE,
  scheduler: { prediction_type: 'epsilon' },
  schedulerClass: 'PNDMScheduler',
  textEncoder: { num_hidden_layers: 3 },
};
const SDXL: Configs = { ...SD, className: 'StableDiffusionXLPipeline', unet: { sample_size: 128 } };
const FLUX: Configs = {
  className: 'FluxPipeline',
  unet: null,
  transformer: { guidance_embeds: true, patch_size: 1, sample_size: 8 },
  vae: VAE,
  scheduler: {},
  schedulerClass: 'FlowMatchEulerDiscreteScheduler',
  textEncoder: {},
};

function sizeOf(configs: Configs): readonly [number, number, number] {
  const { nativeSize, sizeMultiple } = traitsOf(configs, {});
  return [nativeSize.width, nativeSize.height, sizeMultiple];
}

describe('the native size', () => {
  test.each<[string, Configs, readonly [number, number, number]]>([
    ['SD is what its unet says, through the VAE', SD, [512, 512, 8]],
    ['SDXL is what its unet says, through the VAE', SDXL, [1024, 1024, 8]],
    ['SDXL without a size is 1024', { ...SDXL, unet: {} }, [1024, 1024, 8]],
    ['Flux does not depend on its transformer', FLUX, [1024, 1024, 16]],
    ['Flux depends on its VAE', { ...FLUX, vae: { block_out_channels: [8, 8] } }, [256, 256, 4]],
    ['a pair is height before width', { ...SD, unet: { sample_size: [64, 96] } }, [768, 512, 8]],
    ['a small VAE keeps a multiple of 8', { ...SD, vae: { block_out_channels: [8] } }, [64, 64, 8]],
    ['a deep VAE asks for more', { ...SD, vae: { block_out_channels: [1, 1, 1, 1, 1] } }, [1024, 1024, 16]],
    ['no VAE counts as 8', { ...SD, vae: null }, [512, 512, 8]],
    [
      'an SD config from before 0.9.0 is corrected',
      { ...SD, unet: { _diffusers_version: '0.6.0', sample_size: 32 } },
      [512, 512, 8],
    ],
    [
      'a later SD config is believed',
      { ...SD, unet: { _diffusers_version: '0.10.0', sample_size: 32 } },
      [256, 256, 8],
    ],
    [
      'another transformer is cut into patches',
      { ...FLUX, className: 'X', transformer: { sample_size: 64, patch_size: 2 } },
      [512, 512, 16],
    ],
  ])('of %s', (_, configs, expected) => {
    expect(sizeOf(configs)).toEqual(expected);
  });

  test('can be set by the folder itself', () => {
    expect(traitsOf(FLUX, { native_size: [64, 32] }).nativeSize).toEqual({ width: 64, height: 32 });
  });
});

describe('the defaults', () => {
  const zeroSnr = { prediction_type: 'v_prediction', rescale_betas_zero_snr: true };
  const trailing = { prediction_type: 'v_prediction', timestep_spacing: 'trailing' };
  const plain = { steps: 20, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' } as const;
  const flow = { guidance: 1, scheduler: 'flow_match_euler', schedule: 'normal' } as const;

  test.each<[string, Configs, Traits['defaults']]>([
    ['SD', SD, plain],
    ['SDXL', SDXL, { ...plain, guidance: 6 }],
    ['v-prediction with its usual spacing', { ...SD, scheduler: { prediction_type: 'v_prediction' } }, plain],
    ['v-prediction down to zero signal', { ...SD, scheduler: zeroSnr }, { ...plain, guidance: 5, schedule: 'normal' }],
    [
      'v-prediction with trailing spacing',
      { ...SDXL, scheduler: trailing },
      { ...plain, guidance: 5, schedule: 'normal' },
    ],
    ['Flux dev', FLUX, { ...flow, steps: 28, distilledGuidance: 3.5 }],
    [
      'Flux schnell',
      { ...FLUX, transformer: { guidance_embeds: false } },
      { ...flow, steps: 4, distilledGuidance: null },
    ],
    [
      'an unknown flow model',
      { ...FLUX, className: 'X' },
      { ...flow, steps: 28, guidance: 5, distilledGuidance: null },
    ],
    ['an unknown diffusion model', { ...SD, className: 'X' }, { ...plain, schedule: 'normal' }],
  ])('of %s', (_, configs, expected) => {
    const traits = traitsOf(configs, {});
    expect(traits.defaults).toEqual(expected);
    expect(traits.schedulers).toContain(traits.defaults.scheduler);
  });

  test('can be set one by one by the folder itself', () => {
    const { defaults } = traitsOf(SD, { defaults: { steps: 4, schedule: 'sgm_uniform' } });
    expect(defaults).toEqual({ ...plain, steps: 4, schedule: 'sgm_uniform' });
  });
});

describe('what clip skip counts in', () => {
  test.each<[string, Configs, number | null]>([
    ['the layers that the text encoder names', SD, 3],
    ['twelve where it names none', { ...SD, textEncoder: {} }, 12],
    ['nothing where the family has no clip skip', FLUX, null],
  ])('is %s', (_, configs, expected) => {
    expect(traitsOf(configs, {}).clipLayers).toBe(expected);
  });
});

describe('the default schedule', () => {
  test.each(['karras', 'exponential', 'beta'] as const)(
    'is %s where the own scheduler is configured so',
    (schedule) => {
      const scheduler = { [`use_${schedule}_sigmas`]: true };
      for (const configs of [SD, SDXL, FLUX, { ...SD, className: 'X' }]) {
        expect(traitsOf({ ...configs, scheduler }, {}).defaults.schedule).toBe(schedule);
      }
    },
  );
});

test('a scheduler that predicts a flow is sampled as the worker samples it, whatever its class', () => {
  const flow = { ...SD, className: 'X', scheduler: { prediction_type: 'flow_prediction' } };
  expect(traitsOf(flow, {}).schedulers).toEqual(['flow_match_euler']);
});
