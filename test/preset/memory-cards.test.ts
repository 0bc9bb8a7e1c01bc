import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Anatomy } from '../../src/preset/anatomy.ts';
import { candidatesFor } from '../../src/preset/candidates.ts';
import { AUTO, type Preset } from '../../src/preset/catalogue.ts';
import { footprintOf, reserveOf } from '../../src/preset/fit.ts';
import { FLUX, SD15, SDXL } from './anatomies.ts';
import { askedOf, pickOf } from './choice-samples.ts';

type Family = 'sd' | 'sdxl' | 'flux';

interface Peak {
  readonly model: Family;
  readonly dtype: 'float16' | 'float32';
  readonly width: number;
  readonly rows: number;
  readonly denoise: number;
  readonly decode: number;
  readonly decode_tiled: number;
  readonly encode: number;
}

interface Recorded {
  readonly parameters: Readonly<Record<Family, { denoiser: number; vae: number; encoders: readonly number[] }>>;
  readonly peaks: readonly Peak[];
}

/** Counted on diffusers' own classes at full size, not by the fit test's formulas. */
const RECORD: Recorded = JSON.parse(
  readFileSync(resolve(import.meta.dirname, '../fixtures/memory/full-size.json'), 'utf8'),
);
const ANATOMIES: Readonly<Record<Family, Anatomy>> = { sd: SD15, sdxl: SDXL, flux: FLUX };
const CASES = [
  { family: 'sd', size: 512 },
  { family: 'sd', size: 1024 },
  { family: 'sdxl', size: 1024 },
  { family: 'flux', size: 512 },
  { family: 'flux', size: 1024 },
] as const satisfies readonly { readonly family: Family; readonly size: number }[];
type Case = (typeof CASES)[number];

/** The batches that the record has; pictures are without guidance, so that each is one row. */
const MOST = 4;
/** What a card takes for its kernels' work and between blocks, which no count of tensors sees: see the fit test. */
const WORK = { encode: 1.1, denoise: 1.1, decode: 1.3 } as const;
const RESERVE = reserveOf(24e9);
const NEAR = 1.04;

interface Option {
  readonly name: string;
  readonly bytes: number;
  /** By what is given up for memory, then by the guess of its speed. */
  readonly rank: number;
}

describe.each(CASES)('of the catalogue, for $family at $size on a card', (one) => {
  const options = optionsOf(one);
  const limits = limitsOf(options);

  it('auto takes with any room what a search over the recorded peaks finds', () => {
    const picks = limits.map((limit) => [limit, pickIn(one, limit)]);
    expect(picks).toEqual(limits.map((limit) => [limit, bestOf(options, limit)]));
  });

  it('that is never the same with all room and with little', () => {
    expect(new Set(limits.map((limit) => bestOf(options, limit))).size).toBeGreaterThan(1);
  });
});

it.each([
  ['flux', 8, 'flux-8gb 1'],
  ['flux', 16, 'flux-16gb 1'],
  ['flux', 24, 'flux-24gb 2'],
  ['flux', 80, 'plain 4'],
  ['sdxl', 8, 'lean-tiled 2'],
  ['sdxl', 12, 'plain 4'],
  ['sd', 8, 'sd-12gb 8'],
] as const)('with nothing measured, %s on a card of %d GB is made with %s', (family, gigabytes, pick) => {
  const total = gigabytes * 2 ** 30;
  const anatomy = ANATOMIES[family];
  const side = family === 'sd' ? 512 : 1024;
  const shape = { width: side, height: side, guided: family !== 'flux' };
  const asked = askedOf(candidatesFor({ name: AUTO, device: 'cuda', family, safe: false }), {
    room: { device: total, host: 64e9, reserve: reserveOf(total) },
    footprintOf: ({ settings }, batch) => footprintOf({ settings, anatomy, shape, batch, device: 'cuda' }),
  });
  expect(pickOf(asked)).toBe(pick);
});

it('those are more than 20 rooms, from the smallest card to the largest', () => {
  expect(CASES.flatMap((one) => limitsOf(optionsOf(one))).length).toBeGreaterThan(20);
});

function pickIn(one: Case, limit: number): string {
  const { family, size } = one;
  const shape = { width: size, height: size, guided: false };
  return pickOf(
    askedOf(candidatesOf(one), {
      room: { device: limit + RESERVE, host: null, reserve: RESERVE },
      footprintOf: ({ settings }, batch) =>
        footprintOf({ settings, anatomy: ANATOMIES[family], shape, batch, device: 'cuda' }),
    }),
  );
}

/** Those that the record determines: how many layers of a streamed part are there at once, it does not say. */
function candidatesOf({ family }: Case): readonly Preset[] {
  return candidatesFor({ name: AUTO, device: 'cuda', family, safe: false })
    .filter(({ settings, auto }) => auto === 'fit' && settings.offload !== 'group')
    .map((preset) => ({ ...preset, batchLimit: Math.min(MOST, preset.batchLimit) }));
}

function optionsOf(one: Case): readonly Option[] {
  const options = candidatesOf(one).flatMap((preset) =>
    [1, 2, 4]
      .filter((batch) => batch <= preset.batchLimit)
      .map((batch) => ({
        name: `${preset.name} ${batch}`,
        bytes: peakOf(one, preset, batch),
        rank: 1000 * givenUp(preset) - preset.speed - batch / 10_000,
      })),
  );
  return options.sort((first, second) => first.rank - second.rank);
}

function givenUp({ settings }: Preset): number {
  if (settings.offload === 'model') return 2;
  return settings.quantize === 'none' ? 0 : 1;
}

function peakOf(one: Case, { settings }: Preset, batch: number): number {
  const { denoiser, vae, encoders } = RECORD.parameters[one.family];
  const isUpcast = one.family === 'sdxl';
  const weights = {
    encode: encoders.map((count) => 2 * count),
    denoise: [(settings.quantize === 'none' ? 2 : 1) * denoiser],
    decode: [(isUpcast ? 4 : 2) * vae],
  };
  const [half, own] = [recorded(one, batch, 'float16'), recorded(one, 1, isUpcast ? 'float32' : 'float16')];
  const work = {
    encode: WORK.encode * half.encode,
    denoise: WORK.denoise * half.denoise,
    decode: WORK.decode * (settings.vae_tiling ? own.decode_tiled : own.decode),
  };
  const phases = (['encode', 'denoise', 'decode'] as const).map((phase) => {
    const stay = Object.entries(weights).filter(([part]) => part !== 'encode' || phase === 'encode');
    const resident = {
      none: sum(Object.values(weights).flat()),
      text_encoders: sum(stay.flatMap(([, parts]) => parts)),
      model: Math.max(...weights[phase]),
    };
    const { offload } = settings;
    if (offload === 'group' || offload === 'sequential') throw new Error('the record does not say');
    return resident[offload] + work[phase];
  });
  return Math.max(...phases);
}

function recorded({ family, size }: Case, rows: number, dtype: Peak['dtype']): Peak {
  const found = RECORD.peaks.find(
    (peak) => peak.model === family && peak.width === size && peak.rows === rows && peak.dtype === dtype,
  );
  if (found === undefined) throw new Error(`there is no record of ${rows} of ${family} at ${size}`);
  return found;
}

function bestOf(options: readonly Option[], limit: number): string {
  const best = options.find(({ bytes }) => bytes <= limit);
  if (best === undefined) throw new Error(`nothing fits into ${limit} bytes`);
  return best.name;
}

/** Just above each peak and just below the next, wherever they leave room for that. */
function limitsOf(options: readonly Option[]): readonly number[] {
  const peaks = [...new Set(options.map(({ bytes }) => bytes))].sort((one, other) => one - other);
  return peaks.flatMap((peak, index) => {
    const next = peaks[index + 1];
    if (next === undefined) return [Math.round(peak * NEAR)];
    return next / peak < NEAR ** 2 ? [] : [Math.round(peak * NEAR), Math.round(next / NEAR)];
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
