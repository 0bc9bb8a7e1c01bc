import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskRegistry } from '../../src/model/registry.ts';
import type { Anatomy } from '../../src/preset/anatomy.ts';
import { footprintOf } from '../../src/preset/fit.ts';
import { type PresetSettings, presetSettingsSchema } from '../../src/preset/settings.ts';
import { testModel } from '../support/kiln.ts';
import { type Case, LiveMemory, type Truth } from './live-memory.ts';

/** What a preset takes, by the fit test, held against what an independent count of live storages finds. */
interface Candidate {
  readonly preset: string;
  readonly settings: Partial<PresetSettings>;
  readonly speed: number;
}

/** In the order of their speed. Those that the worker does not bring into effect on a CPU are left out. */
const CANDIDATES: readonly Candidate[] = [
  { preset: 'plain', settings: {}, speed: 1 },
  { preset: 'tiled', settings: { vae_tiling: true }, speed: 0.9 },
  { preset: 'no-encoders', settings: { offload: 'text_encoders' }, speed: 0.7 },
  { preset: 'half', settings: { dtype: 'bfloat16' }, speed: 0.5 },
  { preset: 'half-tiled', settings: { dtype: 'bfloat16', vae_tiling: true }, speed: 0.4 },
];
const BATCHES = [4, 2, 1] as const;
const KILN = resolve(import.meta.dirname, '../../python-worker/models/kiln-shapes');

interface Subject {
  readonly name: string;
  readonly model: string;
  readonly size: number;
  readonly guided: boolean;
  readonly anatomy: Anatomy;
  readonly tries: readonly Try[];
}

interface Try {
  readonly candidate: Candidate;
  readonly batch: number;
  readonly truth: Truth;
  readonly computed: number;
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
    ['tiny-sd', testModel('sd'), [64, 128]],
    ['tiny-sdxl', testModel('sdxl'), [64, 128]],
    ['tiny-flux', testModel('flux'), [128]],
  ] as const) {
    const { anatomy, family } = await models.resolve(model);
    if (anatomy === null) throw new Error(`${name} has no anatomy`);
    for (const size of sizes) subjects.push(await measured({ name, model, size, anatomy, guided: family !== 'flux' }));
  }
}, 120_000);
afterAll(async () => {
  await program.close();
  await rm(folder, { recursive: true });
});

describe('the fit test on real models', () => {
  it('is within a tenth of the true peak, or 300 KB, in every phase of every preset', () => {
    const phases = { load: 'loading', encode: 'encoding', denoise: 'denoising', decode: 'decoding' } as const;
    const wrong = subjects.flatMap((subject) =>
      subject.tries.flatMap(({ candidate, batch, truth }) => {
        const { parts } = footprint(subject, candidate, batch);
        return Object.entries(phases).flatMap(([phase, verb]) => {
          const said = parts.find(({ what }) => what === `in all while ${verb}`)?.bytes ?? 0;
          const found = truth.peaks[phase] ?? 0;
          const off = Math.abs(said - found);
          return off > Math.max(0.1 * found, 300_000)
            ? [{ ...labelOf(subject), candidate, batch, phase, said, found }]
            : [];
        });
      }),
    );
    expect(wrong).toEqual([]);
    expect(subjects.flatMap(({ tries }) => tries).length).toBeGreaterThan(50);
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
    expect(choices.size).toBeGreaterThanOrEqual(6);
  });

  it('would differ with a formula that is wrong by an eighth, either way', () => {
    for (const error of [7 / 8, 9 / 8]) {
      const cases = subjects.flatMap((subject) => limitsOf(subject).map((limit) => ({ subject, limit })));
      const differing = cases.filter(
        ({ subject, limit }) => nameOf(picked(subject, limit / error)) !== nameOf(best(subject, limit)),
      );
      expect(differing.length).toBeGreaterThanOrEqual(5);
    }
  });

  it('is a faster one when the limit is raised', () => {
    for (const subject of subjects) {
      const ranks = limitsOf(subject).map((limit) => rankOf(picked(subject, limit)));
      expect(ranks).toEqual([...ranks].sort((one, other) => other - one));
      expect(new Set(ranks).size).toBe(ranks.length);
    }
  });

  it('runs under that limit, and what was too fast to fit does not', async () => {
    for (const subject of subjects) {
      for (const limit of limitsOf(subject)) {
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
      const tooMuch = await program.measure(caseOf(subject, fastest.candidate, fastest.batch, lowest));
      expect(tooMuch?.ran_out).toBe(true);
    }
  });
});

/** The choice: the fastest preset, then the largest batch, that fits by the fit test. */
function picked(subject: Subject, limit: number): Try | null {
  return inOrder(subject).find(({ computed }) => computed <= limit) ?? null;
}

/** The same by exhaustive search over what was measured. */
function best(subject: Subject, limit: number): Try | null {
  return inOrder(subject).find((one) => peakOf(one) <= limit) ?? null;
}

function inOrder({ tries }: Subject): readonly Try[] {
  return [...tries].sort((one, other) => rankOf(one) - rankOf(other));
}

/** The lower, the faster. */
function rankOf(one: Try | null): number {
  return one === null ? Number.POSITIVE_INFINITY : -(one.candidate.speed * 100 + one.batch);
}

function peakOf({ truth }: Try): number {
  return Math.max(...Object.values(truth.peaks));
}

/**
 * Between true peaks that differ by a twelfth at least, and just above the highest, as far as the best choice changes
 * from one to the next: so no limit is nearer than 4 % to a peak, and most are within 12 %.
 */
function limitsOf(subject: Subject): readonly number[] {
  const peaks = [...new Set(subject.tries.map(peakOf))].sort((one, other) => one - other);
  const between = peaks.map((peak, index) => {
    const next = peaks[index + 1] ?? peak * 1.12;
    return next / peak < 13 / 12 ? 0 : Math.min(Math.sqrt(peak * next), peak * 1.06);
  });
  const limits: number[] = [];
  for (const limit of between.filter((one) => one > 0)) {
    const last = limits.at(-1);
    if (last === undefined || nameOf(best(subject, last)) !== nameOf(best(subject, limit))) limits.push(limit);
  }
  return limits;
}

function nameOf(one: Try | null): string {
  return one === null ? 'nothing' : `${one.candidate.preset} ${one.batch}`;
}

function labelOf({ name, size }: Pick<Subject, 'name' | 'size'>): { readonly name: string; readonly size: number } {
  return { name, size };
}

async function measured(subject: Omit<Subject, 'tries'>): Promise<Subject> {
  const tries: Try[] = [];
  for (const candidate of CANDIDATES) {
    for (const batch of BATCHES) {
      const truth = await program.measure(caseOf(subject, candidate, batch, null));
      if (truth === null || !isInEffect(candidate, truth)) break;
      tries.push({ candidate, batch, truth, computed: footprint(subject, candidate, batch).deviceBytes });
    }
  }
  return { ...subject, tries };
}

function isInEffect({ settings }: Candidate, truth: Truth): boolean {
  return Object.entries(settings).every(([field, value]) => truth.settings[field] === value);
}

function caseOf(subject: Omit<Subject, 'tries'>, candidate: Candidate, batch: number, limit: number | null): Case {
  const { model, size, guided } = subject;
  return {
    model,
    settings: candidate.settings,
    width: size,
    height: size,
    batch,
    guided,
    limit: limit === null ? null : Math.floor(limit),
  };
}

function footprint({ anatomy, size, guided }: Omit<Subject, 'tries'>, { settings }: Candidate, batch: number) {
  const shape = { width: size, height: size, guided };
  return footprintOf({ settings: presetSettingsSchema.parse(settings), anatomy, shape, batch, device: 'cpu' });
}
