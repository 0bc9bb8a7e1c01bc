import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskRegistry } from '../../src/model/registry.ts';
import type { Model } from '../../src/ports.ts';
import type { Anatomy } from '../../src/preset/anatomy.ts';
import { candidatesFor } from '../../src/preset/candidates.ts';
import { AUTO, type Preset, presetsWith } from '../../src/preset/catalogue.ts';
import { choose } from '../../src/preset/choice.ts';
import { factsOf, impossible } from '../../src/preset/combinations.ts';
import { footprintOf, reserveOf } from '../../src/preset/fit.ts';
import { NEUTRAL } from '../../src/preset/settings.ts';
import { testModel } from '../support/kiln.ts';
import { askedOf, presetOf } from './choice-samples.ts';
import { type Case, LiveMemory, type Truth } from './live-memory.ts';

/** Own presets that `auto` may choose, so that there is more to choose from than the catalogue has for a CPU. */
const OWN: readonly Preset[] = [
  presetOf('tiled', { settings: { vae_slicing: true, vae_tiling: true }, speed: 0.9, batch_limit: 2 }),
  presetOf('no-encoders', { settings: { vae_slicing: true, offload: 'text_encoders' }, speed: 0.95, batch_limit: 2 }),
  presetOf('int8', { settings: { vae_slicing: true, quantize: 'int8_weights' }, speed: 0.6, batch_limit: 2 }),
  presetOf('half', { settings: { vae_slicing: true, dtype: 'bfloat16' }, speed: 0.5 }),
];
/** Of a machine of 16 GB. These models are small beside it, so the limits are what is left when it is taken off. */
const RESERVE = reserveOf(16e9, 'cpu');
/** The machine may be busy; nothing here is about time. */
const PATIENCE = 600_000;
const NEAR = 1.05;
const BATCHES = [4, 2, 1] as const;
const HARDLY_FASTER = 1.0001;
const KILN = resolve(import.meta.dirname, '../../python-worker/models/kiln-shapes');

interface Subject {
  readonly name: string;
  readonly model: string;
  readonly size: number;
  readonly guided: boolean;
  readonly anatomy: Anatomy;
  readonly family: Model['family'];
  readonly tries: readonly Try[];
}

interface Try {
  readonly candidate: Preset;
  readonly batch: number;
  readonly truth: Truth;
}

let folder: string;
let program: LiveMemory;
const subjects: Subject[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kilnwatt-truth-'));
  program = new LiveMemory();
  const models = new DiskRegistry({ modelsDir: folder, cacheFile: join(folder, 'hashes.json') });
  for (const [name, model, sizes] of [
    ['kiln-shapes', KILN, [192]],
    ['tiny-sd', testModel('sd'), [128, 192]],
    ['tiny-sdxl', testModel('sdxl'), [128]],
    ['tiny-flux', testModel('flux'), [128]],
  ] as const) {
    const { anatomy, family } = await models.resolve(model);
    if (anatomy === null) throw new Error(`${name} has no anatomy`);
    for (const size of sizes)
      subjects.push(await measured({ name, model, size, anatomy, family, guided: family !== 'flux' }));
  }
}, PATIENCE);
afterAll(async () => {
  await program.close();
  await rm(folder, { recursive: true });
});

describe('the fit test on real models', () => {
  it('is within 12 % of the true peak in every phase of every preset; loading, within 15 % or 300 KB', () => {
    const phases = { load: 'loading', encode: 'encoding', denoise: 'denoising', decode: 'decoding' } as const;
    const wrong = subjects.flatMap((subject) =>
      subject.tries.flatMap(({ candidate, batch, truth }) => {
        const { parts } = footprint(subject, candidate, batch);
        return Object.entries(phases).flatMap(([phase, verb]) => {
          const said = parts.find(({ what }) => what === `in all while ${verb}`)?.bytes ?? 0;
          const found = truth.peaks[phase] ?? 0;
          const allowed = phase === 'load' ? Math.max(0.15 * found, 300_000) : 0.12 * found;
          return Math.abs(said - found) > allowed
            ? [{ ...labelOf(subject), preset: candidate.name, batch, phase, said, found }]
            : [];
        });
      }),
    );
    expect(wrong).toEqual([]);
    for (const subject of subjects) {
      const found = subject.tries.map(({ candidate, batch }) => `${candidate.name} ${batch}`);
      expect(found).toEqual(
        candidatesOf(subject).flatMap((one) => sizesOf(one).map((batch) => `${one.name} ${batch}`)),
      );
      expect(found).toEqual(expect.arrayContaining(['plain 4', 'low-vram 1', 'cpu 4', 'cpu-small 1']));
    }
  });
});

describe('what is picked under a limit', () => {
  it('is, in 20 cases and more, what a search over the true peaks finds', () => {
    const cases = subjects.flatMap((subject) => limitsOf(subject).map((limit) => ({ subject, limit })));
    expect(cases.length).toBeGreaterThanOrEqual(20);
    const differing = cases.filter(
      ({ subject, limit }) => nameOf(picked(subject, limit)) !== nameOf(best(subject, limit)),
    );
    expect(differing.map(({ subject, limit }) => ({ ...labelOf(subject), limit }))).toEqual([]);
    const choices = new Set(cases.map(({ subject, limit }) => nameOf(picked(subject, limit))));
    expect(choices.size).toBeGreaterThanOrEqual(5);
  });

  it('would differ with a formula that is wrong by a twelfth, either way', () => {
    for (const error of [11 / 12, 13 / 12]) {
      const cases = subjects.flatMap((subject) => limitsOf(subject).map((limit) => ({ subject, limit })));
      const differing = cases.filter(
        ({ subject, limit }) => nameOf(picked(subject, limit / error)) !== nameOf(best(subject, limit)),
      );
      expect(differing.length).toBeGreaterThanOrEqual(8);
    }
  });

  it('is a faster one when the limit is raised', () => {
    for (const subject of subjects.filter((one) => limitsOf(one).length > 1)) {
      const ranks = limitsOf(subject).map((limit) => rankOf(picked(subject, limit)));
      expect(ranks).toEqual([...ranks].sort((one, other) => other - one));
      expect(new Set(ranks).size).toBeGreaterThan(1);
    }
  });

  it(
    'runs under that limit, and the fastest does not run under the lowest',
    async () => {
      for (const subject of subjects) {
        for (const limit of tightestOf(subject)) {
          const one = picked(subject, limit);
          if (one === null) throw new Error(`nothing was picked for ${subject.name} within ${limit} bytes`);
          const run = await program.measure(caseOf(subject, one.candidate, one.batch, limit));
          expect({ ...labelOf(subject), limit, ran_out: run?.ran_out }).toEqual({
            ...labelOf(subject),
            limit,
            ran_out: false,
          });
        }
        const [lowest = 0] = limitsOf(subject);
        const fastest = inOrder(subject)[0];
        if (fastest === undefined) throw new Error('there is nothing to choose from');
        if (limitsOf(subject).length === 1) continue;
        const tooMuch = await program.measure(caseOf(subject, fastest.candidate, fastest.batch, lowest));
        expect(tooMuch?.ran_out).toBe(true);
      }
    },
    PATIENCE,
  );
});

/** All that `auto` may choose for the model on a CPU: the catalogue's, less what cannot hold, and those above. */
function candidatesOf({ family, anatomy }: Pick<Subject, 'family' | 'anatomy'>): readonly Preset[] {
  const facts = { ...factsOf({ family, anatomy }), device: 'cpu' } as const;
  return candidatesFor({ name: AUTO, device: 'cpu', family, safe: false }, presetsWith(OWN)).filter(
    ({ settings }) => impossible(settings, facts) === null,
  );
}

function sizesOf({ batchLimit }: Preset): readonly number[] {
  return BATCHES.filter((batch) => batch <= batchLimit);
}

/** What `auto` takes with so much room beside the reserve, where nothing was learned. */
function picked(subject: Subject, limit: number): Try | null {
  const room = limit + RESERVE;
  const outcome = choose(
    askedOf(candidatesOf(subject), {
      room: { device: room, host: room, reserve: RESERVE },
      device: 'cpu',
      footprintOf: (preset, batch) => footprint(subject, preset, batch),
    }),
  );
  if ('exhausted' in outcome) return null;
  const { preset, limit: batch } = outcome;
  return subject.tries.find((one) => one.candidate === preset && one.batch === batch) ?? null;
}

/** The same by exhaustive search over what was measured. */
function best(subject: Subject, limit: number): Try | null {
  return inOrder(subject).find((one) => peakOf(one) <= limit) ?? null;
}

function inOrder({ tries }: Subject): readonly Try[] {
  return [...tries].sort((one, other) => rankOf(one) - rankOf(other));
}

/** The lower, the better: with all its bits, then the faster, then the larger batch. */
function rankOf(one: Try | null): number {
  if (one === null) return Number.POSITIVE_INFINITY;
  const { settings, speed } = one.candidate;
  return (settings.quantize === 'none' ? 0 : 1) - (speed * HARDLY_FASTER ** Math.log2(one.batch)) / 100;
}

function peakOf({ truth }: Try): number {
  return Math.max(...Object.values(truth.peaks));
}

/**
 * Just above each true peak and just below the next, 5 % off, wherever they leave room for that; so every limit is 5 %
 * from a peak, and none is nearer. Left out are those at which it would depend on the order in which diffusers happens
 * to read the parts whether a model can be loaded.
 */
function limitsOf(subject: Subject): readonly number[] {
  const peaks = [...new Set(subject.tries.map(peakOf))].sort((one, other) => one - other);
  const limits = peaks.flatMap((peak, index) => {
    const next = peaks[index + 1];
    if (next === undefined) return [peak * NEAR];
    return next / peak < NEAR ** 2 ? [] : [peak * NEAR, next / NEAR];
  });
  return limits.filter((limit) => subject.tries.every((one) => !dependsOnOrder(subject, one, limit)));
}

function dependsOnOrder(subject: Subject, { candidate, batch, truth }: Try, limit: number): boolean {
  const worst = footprint(subject, candidate, batch).parts.find(({ what }) => what === 'in all while loading');
  return limit >= (truth.peaks.load ?? 0) && limit <= (worst?.bytes ?? 0) * NEAR;
}

/** Of all limits at which the same is picked, the tightest. */
function tightestOf(subject: Subject): readonly number[] {
  const limits = limitsOf(subject);
  return limits.filter(
    (limit, index) => nameOf(picked(subject, limit)) !== nameOf(picked(subject, limits[index - 1] ?? 0)),
  );
}

function nameOf(one: Try | null): string {
  return one === null ? 'nothing' : `${one.candidate.name} ${one.batch}`;
}

function labelOf({ name, size }: Pick<Subject, 'name' | 'size'>): { readonly name: string; readonly size: number } {
  return { name, size };
}

async function measured(subject: Omit<Subject, 'tries'>): Promise<Subject> {
  const tries: Try[] = [];
  for (const candidate of candidatesOf(subject)) {
    for (const batch of sizesOf(candidate)) {
      const truth = await program.measure(caseOf(subject, candidate, batch, null));
      if (truth === null || !isInEffect(candidate, truth)) break;
      tries.push({ candidate, batch, truth });
    }
  }
  return { ...subject, tries };
}

/** On a CPU there is nowhere to offload the parts of a model to, which is a downgrade. */
function isInEffect({ settings }: Preset, truth: Truth): boolean {
  return Object.entries(settings).every(([field, value]) => {
    const asked = field === 'offload' && value === 'model' ? 'none' : value;
    return asked === 'auto' || String(truth.settings[field]) === String(asked);
  });
}

function caseOf(subject: Omit<Subject, 'tries'>, { settings }: Preset, batch: number, limit: number | null): Case {
  const { model, size, guided } = subject;
  const neutral = new Map(Object.entries(NEUTRAL).map(([field, value]) => [field, String(value)]));
  const used = Object.fromEntries(
    Object.entries(settings).filter(([field, value]) => neutral.get(field) !== String(value)),
  );
  return {
    model,
    settings: used,
    width: size,
    height: size,
    batch,
    guided,
    limit: limit === null ? null : Math.floor(limit),
  };
}

function footprint({ anatomy, size, guided }: Omit<Subject, 'tries'>, { settings }: Preset, batch: number) {
  const shape = { width: size, height: size, guided };
  return footprintOf({ settings, anatomy, shape, batch, device: 'cpu' });
}
