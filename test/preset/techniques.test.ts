import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { PAGE, techniquesPage } from '../../scripts/techniques-table.ts';
import { SCHEDULERS, SCHEDULES } from '../../src/job/request.ts';
import { PRESETS } from '../../src/preset/catalogue.ts';
import { NEUTRAL, presetSettingsSchema } from '../../src/preset/settings.ts';
import { TECHNIQUES, techniqueOf } from '../../src/preset/techniques.ts';

const NO_RECORD = { cases: [] };
const ROOT = resolve(import.meta.dirname, '../..');
/** Of the Python project, by name. */
const EXTRAS = new Set(
  [...sectionOf('project.optional-dependencies').matchAll(/^([a-z]+) = \[/gm)].map((match) => match[1] ?? ''),
);

/** By field: every value that is not neutral; `*` where there are endless many. */
function valuesOf(): Record<string, readonly unknown[]> {
  const fields = Object.entries(presetSettingsSchema.shape).map(([name, field]): [string, readonly unknown[]] => {
    const inner = field.unwrap();
    const values = inner instanceof z.ZodEnum ? inner.options : inner instanceof z.ZodBoolean ? [true] : ['*'];
    return [name, values];
  });
  return { ...Object.fromEntries(fields), scheduler: SCHEDULERS, schedule: SCHEDULES };
}

describe('the table of techniques', () => {
  it('leaves no value of a setting out, but for a neutral one that is the lack of a technique', () => {
    for (const [field, values] of Object.entries(valuesOf())) {
      const told = TECHNIQUES.filter((technique) => technique.field === field).map(({ value }) => value);
      const neutral: unknown = Object.entries(NEUTRAL).find(([name]) => name === field)?.[1];
      expect(told, field).toEqual(values.filter((value) => value !== neutral || told.includes(String(value))));
    }
  });

  it('tells nothing twice, and nothing of what there is not', () => {
    expect(new Set(TECHNIQUES.map(({ id }) => id)).size).toBe(TECHNIQUES.length);
    const known = valuesOf();
    expect(TECHNIQUES.filter(({ field, value }) => known[field]?.includes(value) !== true)).toEqual([]);
  });

  it('finds what a setting does, and nothing for a neutral one', () => {
    expect(techniqueOf('vae_tiling', true)?.id).toBe('vae-tiling-true');
    expect(techniqueOf('buckets', [1, 2])?.id).toBe('buckets-any');
    expect(techniqueOf('fused_qkv', false)).toBeUndefined();
  });

  it('is written out in the page as it is now; else run node scripts/techniques-table.ts', () => {
    expect(readFileSync(PAGE, 'utf8')).toBe(techniquesPage());
  });
});

describe('the proof of a technique', () => {
  it('is a test that there is, where it says so', () => {
    const claimed = TECHNIQUES.filter(({ proof }) => proof === 'cpu');
    const lacking = claimed
      .filter(({ test }) => test === null || !isThere(test))
      .map(({ id, test }) => `${id}: ${test}`);
    expect(lacking).toEqual([]);
    expect(TECHNIQUES.filter(({ proof, test }) => proof !== 'cpu' && test !== null)).toEqual([]);
  });

  it('is a record in which it is in effect, where it says so', () => {
    const records = globSync('bench/records/gpu-*.json', { cwd: ROOT }).sort();
    const newest = records.at(-1);
    const record: unknown = newest === undefined ? NO_RECORD : JSON.parse(readFileSync(join(ROOT, newest), 'utf8'));
    const claimed = TECHNIQUES.filter(({ proof }) => proof === 'gpu-record');
    expect(claimed.filter(({ field, value }) => !holds(record, field, value)).map(({ id }) => id)).toEqual([]);
  });
});

it('a record proves what was read back in a case that ran, and not what was asked of one that was refused', () => {
  const asked = { asked: { settings: { tf32: true } }, settings: { tf32: false } };
  const refused = { asked: { settings: { tf32: true } }, settings: { tf32: true }, outcome: 'refused' };
  const record = { cases: [{ ...asked, outcome: 'in effect' }, refused, { outcome: 'failed', settings: null }] };
  expect(holds(record, 'tf32', true)).toBe(false);
  expect(holds({ cases: [...record.cases, { settings: { tf32: true }, outcome: 'in effect' }] }, 'tf32', true)).toBe(
    true,
  );
  expect(holds(NO_RECORD, 'tf32', true)).toBe(false);
});

it('what auto may choose by the fit test needs no package that the set-up does not bring', () => {
  const needy = PRESETS.filter(({ auto }) => auto === 'fit').flatMap(({ name, settings }) =>
    Object.entries(settings)
      .filter(([field, value]) => (techniqueOf(field, value)?.extra ?? null) !== null)
      .map(([field]) => `${name}: ${field}`),
  );
  expect(needy).toEqual([]);
});

it('an extra that a technique needs is one of the Python project', () => {
  const needed = new Set(TECHNIQUES.flatMap(({ extra }) => (extra === null ? [] : [extra])));
  expect([...needed].filter((extra) => !EXTRAS.has(extra))).toEqual([]);
});

function isThere(test: string): boolean {
  const [file = '', name = ''] = test.split('::');
  const path = join(ROOT, file);
  return existsSync(path) && new RegExp(`^def ${name}\\(`, 'm').test(readFileSync(path, 'utf8'));
}

const recordSchema = z.object({
  cases: z.array(
    z.object({
      outcome: z.string(),
      settings: z
        .record(z.string(), z.unknown())
        .nullish()
        .transform((read) => read ?? {}),
    }),
  ),
});

/** Whether the value was read back in a case that ran; what was only asked for proves nothing. */
function holds(record: unknown, field: string, value: unknown): boolean {
  const { cases } = recordSchema.parse(record);
  return cases
    .filter(({ outcome }) => outcome === 'in effect' || outcome === 'downgraded')
    .some(({ settings }) => (value === '*' ? Boolean(settings[field]) : settings[field] === value));
}

function sectionOf(name: string): string {
  const project = readFileSync(join(ROOT, 'python-worker/pyproject.toml'), 'utf8');
  const [, after = ''] = project.split(`[${name}]\n`);
  return after.split(/^\[/m)[0] ?? '';
}
