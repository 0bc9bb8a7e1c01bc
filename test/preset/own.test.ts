import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import { ConfigError } from '../../src/errors.ts';
import { PRESETS, presetNamed, presetsWith } from '../../src/preset/catalogue.ts';
import { ownPresets, ownPresetsFault } from '../../src/preset/own.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-presets-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function configured(yaml: string) {
  writeFileSync(join(folder, 'kilnwatt.yaml'), yaml);
  return loadConfig({ cwd: folder, env: { HOME: folder } }).config.presets;
}

describe('a preset of the user', () => {
  it('is like one of the catalogue but for what it says, and is chosen by auto only where it says so', () => {
    const [mine, other, ...rest] = configured(`
presets:
  mine:
    like: sdxl-12gb
    settings: { attention: sliced, vae_tiling: false }
    batch_limit: 1
    auto: fit
    reason: my card dislikes the other one
  other: { like: sdxl-24gb }
`);
    const base = presetNamed('sdxl-12gb');
    expect(mine).toEqual({
      ...base,
      name: 'mine',
      settings: { ...base.settings, attention: 'sliced', vae_tiling: false },
      batchLimit: 1,
      reason: 'my card dislikes the other one',
      source: null,
      auto: 'fit',
    });
    const compiled = presetNamed('sdxl-24gb');
    expect(other).toMatchObject({ settings: compiled.settings, auto: 'never', memoryGb: 24 });
    expect(other?.reason).toBe(`as sdxl-24gb: ${compiled.reason}`);
    expect(rest).toEqual([]);
  });

  it('begins from what is plain where it is like nothing, and may stand below another', () => {
    const presets = configured('presets: { a: { settings: { dtype: float32 }, below: [b] }, b: { batch_limit: 1 } }\n');
    expect(presets[0]?.settings).toEqual({ ...presetNamed('plain').settings, dtype: 'float32' });
    const all = presetsWith(presets);
    expect(presetNamed('a', all).below.map((name) => presetNamed(name, all).batchLimit)).toEqual([1]);
    expect(all.length).toBe(PRESETS.length + 2);
  });

  it('may be none, also where its lines are commented out', () => {
    expect(configured('presets:\n  # mine: {}\n')).toEqual([]);
    expect(configured('')).toEqual([]);
  });

  it.each(PRESETS.map(({ name }) => name))('may be like %s without a change', (like) => {
    const said = { mine: { like, settings: {}, reason: '', auto: 'never' as const } };
    expect(ownPresetsFault(said)).toBeUndefined();
    expect(ownPresets(said)[0]?.settings).toEqual(presetNamed(like).settings);
  });
});

describe('a mistake in the presets is one sentence with its line', () => {
  const cases: readonly (readonly [string, string, string, number])[] = [
    [
      'a setting with another spelling',
      'mine:\n    settings:\n      atention: sliced',
      'presets.mine.settings.atention is not a setting of a preset; did you mean attention?',
      4,
    ],
    ['an unheard-of key', 'mine:\n    batch: 2', 'presets.mine.batch is not a setting of a preset', 3],
    [
      'a value that is not in its list',
      'mine:\n    settings:\n      attention: slice',
      'presets.mine.settings.attention cannot be "slice": expected one of "sdpa"|"sdpa_flash"',
      4,
    ],
    ['a value outside of its limits', 'mine:\n    batch_limit: 0', 'presets.mine.batch_limit cannot be 0:', 3],
    [
      'a base that there is not',
      'mine:\n    like: sdxl-12g',
      'presets.mine.like cannot be "sdxl-12g": there is no such preset to name here; did you mean sdxl-12gb?',
      3,
    ],
    [
      'a preset below that there is not',
      'mine:\n    below: [low-vram, lowvram]',
      'presets.mine.below.1 cannot be "lowvram": there is no such preset to name here; did you mean low-vram?',
      3,
    ],
    [
      'itself below itself',
      'mine:\n    below: [mine]',
      'presets.mine.below.0 cannot be "mine": there is no such preset',
      3,
    ],
    ['the word auto as a name', 'auto: {}', 'presets.auto: auto means a choice by the device; give it another name', 2],
    ['the word auto in capitals', 'AUTO: {}', 'presets.AUTO: auto means a choice by the device', 2],
    ['a name of the catalogue', 'plain: {}', 'presets.plain: the catalogue has plain; give it another name', 2],
    ['one that differs in capitals alone', 'Plain: {}', 'presets.Plain: the catalogue has plain', 2],
    ['a name with a blank', '"my own": {}', 'presets.my own: a name has at most 40 letters', 2],
    ['a text for a preset', 'mine: fast', 'presets.mine cannot be "fast": expected object', 2],
    [
      'settings that cannot hold together',
      'mine:\n    like: streamed\n    settings: { compile: full }',
      'presets.mine: compile=full with offload=group cannot hold: the hooks that move the weights are in the midst',
      3,
    ],
    [
      'settings that cannot hold for its family',
      'mine:\n    families: [flux]\n    settings: { step_cache: deepcache, step_cache_strength: 3 }',
      'presets.mine: step_cache=deepcache cannot hold with a transformer:',
      3,
    ],
    [
      'settings that cannot hold on its device',
      'mine:\n    device: cpu\n    settings: { quantize: fp8_dynamic }',
      'presets.mine: quantize=fp8_dynamic cannot hold on the CPU:',
      3,
    ],
  ];

  it.each(cases)('%s', (_, text, sentence, line) => {
    const said = refusalOf(`presets:\n  ${text}\n`);
    expect(said).toMatchObject({ code: 'bad_config' });
    expect(said.message).toContain(`kilnwatt.yaml:${line}:`);
    expect(said.message).toContain(sentence);
  });

  it('a text for all of them, also in the environment', () => {
    const env = { HOME: folder, KILNWATT_PRESETS: 'mine' };
    expect(() => loadConfig({ cwd: folder, env })).toThrow('KILNWATT_PRESETS: presets must hold presets, one "name:');
  });
});

function refusalOf(yaml: string): ConfigError {
  try {
    configured(yaml);
  } catch (error) {
    if (error instanceof ConfigError) return error;
  }
  throw new Error('it was accepted');
}
