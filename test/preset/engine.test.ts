import { expect, it } from 'vitest';
import { presetNamed, safely } from '../../src/preset/catalogue.ts';
import { engineOf, presetOfEngine } from '../../src/preset/engine.ts';
import { NEUTRAL } from '../../src/preset/settings.ts';
import { shapeOf } from '../../src/preset/shape.ts';
import { presetOf } from './choice-samples.ts';

const PLAIN = presetOf('plain');

it('an engine is what a preset sets, so that an edited one inherits nothing, and its name does not count', () => {
  expect(engineOf(PLAIN)).toMatch(/^[0-9a-f]{12}$/);
  expect(engineOf(presetOf('plain', { settings: { vae_tiling: true } }))).not.toBe(engineOf(PLAIN));
  expect(engineOf(presetOf('another'))).toBe(engineOf(PLAIN));
});

it('of presets that set the same, what ran out of memory with one is not tried with the other', () => {
  const like = ['sdxl-12gb', 'sdxl-16gb'].map((name) => presetNamed(name));
  expect(new Set(like.map(engineOf)).size).toBe(1);
});

it('the name of an engine does not change with fields at rest, with their order, or with what is not loaded', () => {
  const { vae_tiling: _, ...fewer } = NEUTRAL;
  const turned = Object.fromEntries(Object.entries({ ...NEUTRAL, tf32: true, dtype: 'float16' }).reverse());
  expect(engineOf({ settings: { ...fewer, vae_tiling: false } })).toBe(engineOf(PLAIN));
  expect(engineOf(presetOf('plain', { batch_limit: 2, reason: 'another', speed: 3 }))).toBe(engineOf(PLAIN));
  const set = presetOf('plain', { settings: { dtype: 'float16', tf32: true } });
  expect(engineOf({ settings: { ...set.settings, ...turned } })).toBe(engineOf(set));
});

it('people are told a preset that loads an engine, or the engine where none does any more', () => {
  const presets = [PLAIN, presetOf('same'), presetOf('tiled', { settings: { vae_tiling: true } })];
  expect(presetOfEngine(engineOf(PLAIN), presets)).toBe('plain');
  expect(presetOfEngine(engineOf(safely(PLAIN)), presets)).toBe('plain+safe');
  expect(presetOfEngine('low-vram', presets)).toBe('low-vram');
});

it('a shape is the size, whether guidance takes two passes, and whether LoRAs come on top', () => {
  const shapes = [1, 1.01, 7].map((guidance) => shapeOf({ width: 1_024, height: 768, guidance, loras: [] }));
  expect(shapes).toEqual(['1024x768', '1024x768+cfg', '1024x768+cfg']);
  const loras = [{ name: 'ink', hash: 'sha256:1', weight: 1 }];
  expect(shapeOf({ width: 1_024, height: 768, guidance: 7, loras })).toBe('1024x768+cfg+lora');
});
