import { expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { PRESETS, presetNamed, safely } from '../../src/preset/catalogue.ts';

it('a preset is found by its name, and each name is there once', () => {
  expect(PRESETS.map((preset) => presetNamed(preset.name))).toEqual(PRESETS);
  expect(new Set(PRESETS.map((preset) => preset.name)).size).toBe(PRESETS.length);
});

it('an unknown name is an error that lists the known ones', () => {
  expect(() => presetNamed('fast')).toThrow(InputError);
  expect(() => presetNamed('fast')).toThrow('there is no preset fast; use one of auto, plain, fp32, fp16, low-vram');
});

it('no batch of the preset for little memory has company', () => {
  expect(presetNamed('low-vram')).toMatchObject({ batchLimit: 1, settings: { vae_tiling: true, offload: 'model' } });
});

it('below each preset are others that there are, and none is below itself', () => {
  for (const preset of PRESETS) {
    expect(preset.below.map((name) => presetNamed(name).name)).toEqual(preset.below);
    expect(preset.below).not.toContain(preset.name);
  }
});

it('the safe form of a preset has another name and a VAE that cannot overflow', () => {
  const plain = presetNamed('plain');
  expect(safely(plain)).toEqual({
    ...plain,
    name: 'plain+safe',
    settings: { ...plain.settings, vae_dtype: 'float32', attention: 'sdpa' },
  });
});
