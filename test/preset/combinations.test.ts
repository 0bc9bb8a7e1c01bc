import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Facts, factsOf, impossible } from '../../src/preset/combinations.ts';
import { NEUTRAL, type PresetSettings } from '../../src/preset/settings.ts';
import { FLUX } from './anatomies.ts';

interface Case {
  readonly settings: Partial<PresetSettings>;
  readonly facts: Facts;
  readonly rule: string | null;
  readonly sentence: string | null;
}

const FIXTURE = join(import.meta.dirname, '..', 'fixtures', 'combinations', 'cases.json');
const CASES = JSON.parse(readFileSync(FIXTURE, 'utf8')) as readonly Case[];

it.each(CASES)('both languages judge $settings with $facts by the same rule, in the same words', (one) => {
  const found = impossible({ ...NEUTRAL, ...one.settings }, one.facts);
  expect([found?.name ?? null, found?.because ?? null]).toEqual([one.rule, one.sentence]);
});

it('a family says which kind of denoiser it has, and another pipeline says nothing', () => {
  const said = (['sdxl', 'flux', 'other'] as const).map((family) => factsOf({ family, anatomy: null }).denoiser);
  expect(said).toEqual(['unet', 'transformer', null]);
  expect(factsOf({ family: 'other', anatomy: FLUX })).toEqual({ family: 'other', denoiser: 'transformer' });
});
