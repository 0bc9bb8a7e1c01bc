import { expect, it } from 'vitest';
import { safely } from '../../src/preset/catalogue.ts';
import { engineOf, presetOfEngine } from '../../src/preset/engine.ts';
import { NEUTRAL } from '../../src/preset/settings.ts';
import { shapeOf } from '../../src/preset/shape.ts';
import { presetOf } from './choice-samples.ts';

const PLAIN = presetOf('plain');

it('an engine is named after its preset and what that sets, so that an edited one inherits nothing', () => {
  expect(engineOf(PLAIN)).toMatch(/^plain@[0-9a-f]{6}$/);
  expect(engineOf(presetOf('plain', { settings: { vae_tiling: true } }))).not.toBe(engineOf(PLAIN));
  expect(presetOfEngine(engineOf(safely(PLAIN)))).toBe('plain+safe');
});

it('the name of an engine does not change with fields at rest, with their order, or with what is not loaded', () => {
  const { vae_tiling: _, ...fewer } = NEUTRAL;
  const turned = Object.fromEntries(Object.entries({ ...NEUTRAL, tf32: true, dtype: 'float16' }).reverse());
  expect(engineOf({ name: 'plain', settings: { ...fewer, vae_tiling: false } })).toBe(engineOf(PLAIN));
  expect(engineOf(presetOf('plain', { batch_limit: 2, reason: 'another', speed: 3 }))).toBe(engineOf(PLAIN));
  const set = presetOf('plain', { settings: { dtype: 'float16', tf32: true } });
  expect(engineOf({ name: 'plain', settings: { ...set.settings, ...turned } })).toBe(engineOf(set));
});

it('the name that a store has of an older version stands for the preset of that name', () => {
  expect(presetOfEngine('low-vram')).toBe('low-vram');
});

it('a shape is the size, and whether guidance takes two passes', () => {
  const shapes = [1, 1.01, 7].map((guidance) => shapeOf({ width: 1_024, height: 768, guidance }));
  expect(shapes).toEqual(['1024x768', '1024x768+cfg', '1024x768+cfg']);
});
