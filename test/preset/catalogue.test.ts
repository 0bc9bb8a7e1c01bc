import { expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { PRESETS, presetNamed, requirePreset, safely } from '../../src/preset/catalogue.ts';
import { factsOf, impossible } from '../../src/preset/combinations.ts';
import { footprintOf, reserveOf } from '../../src/preset/fit.ts';
import { FLUX, SD15, SDXL } from './anatomies.ts';

it('a preset is found by its name, and each name is there once', () => {
  expect(PRESETS.map((preset) => presetNamed(preset.name))).toEqual(PRESETS);
  expect(new Set(PRESETS.map((preset) => preset.name)).size).toBe(PRESETS.length);
});

it('an unknown name is an error with the name that was meant, and auto is a word that everybody may say', () => {
  expect(() => presetNamed('sdxl-12g')).toThrow(InputError);
  expect(() => presetNamed('sdxl-12g')).toThrow(
    'there is no preset sdxl-12g among those that "kilnwatt presets ls --all" lists; did you mean sdxl-12gb?',
  );
  expect(() => requirePreset('auto')).not.toThrow();
  expect(() => requirePreset('turbo')).toThrow('there is no preset turbo among those');
  expect(() => presetNamed('auto')).toThrow(InputError);
});

it('no batch of the preset for little memory has company', () => {
  expect(presetNamed('low-vram')).toMatchObject({ batchLimit: 1, settings: { vae_tiling: true, offload: 'model' } });
});

it.each(PRESETS)('$name says why, can hold where it is made for, and has presets below it that can too', (preset) => {
  expect(preset.reason).toMatch(/^\S.{20,160}[^.]$/);
  for (const { settings } of [preset, ...preset.below.map((name) => presetNamed(name))]) {
    const device = preset.device === 'any' ? [] : [{ device: preset.device }];
    for (const family of preset.families.length > 0 ? preset.families : (['sd', 'sdxl', 'flux', 'other'] as const))
      for (const facts of [{}, ...device]) {
        expect(impossible(settings, { ...facts, ...factsOf({ family, anatomy: null }) })).toBeNull();
      }
  }
  expect(preset.below).not.toContain(preset.name);
});

it.each(['sd', 'sdxl', 'flux'] as const)('%s has a preset for each class of card', (family) => {
  const classes = PRESETS.filter(({ families }) => families.includes(family)).map(({ memoryGb }) => memoryGb);
  expect([...new Set(classes)].filter((gb) => gb !== null)).toEqual([8, 12, 16, 24, 80]);
});

it('for any model and device there is a preset that auto may choose by the fit test, and more memory allows a faster one', () => {
  for (const device of ['cpu', 'cuda'] as const) {
    const general = PRESETS.filter((one) => one.auto === 'fit' && one.families.length === 0);
    const there = general.filter((one) => one.device === 'any' || one.device === device);
    expect(new Set(there.map(({ speed }) => speed)).size).toBeGreaterThan(1);
  }
});

it('the seed of kilnwatt for a card of 12 GB is one of them, by name only', () => {
  expect(presetNamed('sdxl-12gb-seed')).toMatchObject({
    settings: { dtype: 'float16', attention: 'sdpa_efficient', vae_slicing: true },
    families: ['sdxl'],
    memoryGb: 12,
    auto: 'never',
  });
});

it('auto never chooses a shortcut that makes another picture', () => {
  const lossy = PRESETS.filter(
    ({ settings }) => settings.step_cache !== 'none' || settings.decoder !== 'own' || settings.attention === 'sage',
  );
  expect(lossy.map(({ name, auto }) => [name, auto])).toEqual([
    ['preview', 'never'],
    ['deepcache', 'never'],
    ['first-block', 'never'],
  ]);
  expect(PRESETS.filter(({ settings }) => settings.fp16_accumulation).map(({ auto }) => auto)).toEqual(['never']);
});

it('what is compiled waits for a measurement', () => {
  const compiled = PRESETS.filter(({ settings }) => settings.compile !== 'none');
  expect(new Set(compiled.map(({ auto }) => auto))).toEqual(new Set(['measured', 'never']));
});

it('the safe form of a preset has another name and nothing that can overflow', () => {
  const plain = presetNamed('plain');
  expect(safely(plain)).toEqual({
    ...plain,
    name: 'plain+safe',
    settings: { ...plain.settings, vae_dtype: 'float32', attention: 'sdpa' },
  });
});

it.each(['sdxl-24gb-fast', 'deepcache', 'first-block', 'preview'])(
  'a black picture of %s is made again without what may have made it black, and that can hold',
  (name) => {
    const preset = presetNamed(name);
    const { settings } = safely(preset);
    const off = { fp16_accumulation: false, step_cache: 'none', step_cache_strength: 0, decoder: 'own' };
    expect(settings).toEqual({ ...preset.settings, vae_dtype: 'float32', attention: 'sdpa', ...off });
    for (const family of preset.families) expect(impossible(settings, factsOf({ family, anatomy: null }))).toBeNull();
  },
);

it.each(PRESETS.filter(({ memoryGb }) => memoryGb !== null))(
  '$name fits, by the fit test and with the reserve, the class of card that it is made for',
  (preset) => {
    const [class_ = 0, [family]] = [preset.memoryGb ?? 0, preset.families];
    if (family === undefined || family === 'other') throw new Error(`${preset.name} is for no family`);
    const anatomy = { sd: SD15, sdxl: SDXL, flux: FLUX }[family];
    const side = family === 'sd' ? 512 : 1024;
    const shape = { width: side, height: side, guided: family !== 'flux' };
    const { deviceBytes, hostBytes } = footprintOf({ ...preset, anatomy, shape, batch: 1, device: 'cuda' });
    // A card of 12 GB has 12 GiB; the desktop and its windows have the difference.
    const memory = class_ * 1e9;
    expect(deviceBytes + reserveOf(memory)).toBeLessThanOrEqual(memory);
    // What streaming is said to cost the host: twice the model.
    expect(hostBytes).toBeLessThan(2 * anatomy.fileBytes);
  },
);
