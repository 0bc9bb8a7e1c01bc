import { expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import type { Model } from '../../src/ports.ts';
import { PRESETS, type Preset, presetNamed } from '../../src/preset/catalogue.ts';
import { refuseImpossible } from '../../src/submission-preset.ts';
import { MODEL } from './workshop.ts';

const FUSED: Preset = {
  ...presetNamed('plain'),
  name: 'fused',
  settings: { ...presetNamed('plain').settings, fused_qkv: true },
};

/** What the door finds wrong with one picture of such a model; undefined for nothing. */
function refusalOf(preset: string, { family = 'sd', loras = 0 }: { family?: Model['family']; loras?: number } = {}) {
  const lora = { name: 'a', hash: 'b', weight: 1 };
  const model: Model = { ...MODEL, family };
  const request = { ...REQUEST, loras: Array.from({ length: loras }, () => lora) };
  try {
    refuseImpossible(preset, [...PRESETS, FUSED], [{ request, place: 'p.txt:3' }], new Map([['tiny', model]]));
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
}

const REQUEST = {
  model: 'tiny',
  modelHash: MODEL.hash,
  prompt: 'a cat',
  negativePrompt: '',
  width: 64,
  height: 64,
  steps: 4,
  guidance: 1,
  distilledGuidance: null,
  scheduler: 'euler',
  schedule: 'normal',
  vae: null,
  clipSkip: 0,
  initImage: null,
  strength: null,
} as const;

it('a preset that cannot hold with the model of a line is refused with that line', () => {
  expect(refusalOf('first-block')).toMatchObject({ code: 'preset_impossible', place: 'p.txt:3' });
  expect(refusalOf('first-block')?.message).toContain(
    'p.txt:3: the preset first-block cannot make tiny: step_cache=first_block cannot hold with a UNet',
  );
  expect(refusalOf('first-block', { family: 'flux' })).toBeUndefined();
  expect(refusalOf('lean', { family: 'other' })?.message).toContain('use offload=model');
});

it('one that LoRAs cannot be used with is refused for a line that has some', () => {
  expect(refusalOf('fused')).toBeUndefined();
  expect(refusalOf('fused', { loras: 1 })?.message).toContain('fused_qkv=true cannot hold with LoRAs');
});

it('auto chooses what can hold, so that nothing is refused for it', () => {
  expect(refusalOf('auto')).toBeUndefined();
});
