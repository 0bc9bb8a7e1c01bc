import { expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { PRESETS, presetNamed } from '../../src/preset/catalogue.ts';

it('a preset is found by its name, and each name is there once', () => {
  expect(PRESETS.map((preset) => presetNamed(preset.name))).toEqual(PRESETS);
  expect(new Set(PRESETS.map((preset) => preset.name)).size).toBe(PRESETS.length);
});

it('an unknown name is an error that lists the known ones', () => {
  expect(() => presetNamed('fast')).toThrow(InputError);
  expect(() => presetNamed('fast')).toThrow('there is no preset fast; use one of auto, fp32, fp16, low-vram');
});

it('no batch of the preset for little memory has company', () => {
  expect(presetNamed('low-vram')).toMatchObject({ batchLimit: 1, vaeTiling: true, offload: 'model' });
});
