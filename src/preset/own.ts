import { z } from 'zod';
import { suggestion } from '../job/nearest.ts';
import { AUTO, PRESETS, type Preset, presetNamed, presetSchema } from './catalogue.ts';
import { factsOf, impossible } from './combinations.ts';
import { presetSettingsSchema } from './settings.ts';

/** The settings of one that is like another: those that differ. */
const changes = z.strictObject(
  Object.fromEntries(
    Object.entries(presetSettingsSchema.shape).map(([name, field]) => [name, field.unwrap().exactOptional()]),
  ),
);

/** A preset of the user's, as it stands in the configuration under its name. What is left out is as in the one that it is like. */
export const ownPresetSchema = z.strictObject({
  like: z.string().default('plain').describe('A preset of the catalogue that it begins from'),
  settings: changes.prefault({}).describe('Settings that differ, as `kilnwatt presets show` names them'),
  batch_limit: given(presetSchema.in.shape.batch_limit).describe('Most pictures in one batch'),
  below: given(presetSchema.in.shape.below).describe('Presets to try, in this order, for what does not fit'),
  reason: z.string().default('').describe('Why anybody would choose it: one sentence without a full stop'),
  source: given(presetSchema.in.shape.source).describe('What the figures in the reason rest on'),
  families: given(presetSchema.in.shape.families).describe('Families of models that it is made for; empty: any'),
  device: given(presetSchema.in.shape.device).describe('Kind of device that it is made for'),
  memory_gb: given(presetSchema.in.shape.memory_gb).describe('Class of card that it is made for, in GB; null: any'),
  auto: z.enum(['never', 'measured', 'fit']).default('never').describe('Whether `auto` may choose it'),
  speed: given(presetSchema.in.shape.speed).describe('Guessed pictures a second, as a multiple of plain'),
});
export type OwnPreset = z.output<typeof ownPresetSchema>;

/** What is wrong with the presets of a configuration, and where below `presets`. */
export interface OwnFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The first fault, or undefined; `said` is what stands under `presets`. */
export function ownPresetsFault(said: unknown): OwnFault | undefined {
  if (said === null) return undefined;
  const read = z.record(z.string(), ownPresetSchema).safeParse(said);
  if (!read.success) return formFault(read.error.issues[0], said);
  for (const [name, own] of Object.entries(read.data)) {
    const fault = nameFault(name) ?? likeFault(name, own) ?? belowFault(name, own, Object.keys(read.data));
    if (fault !== undefined) return fault;
  }
  for (const preset of ownPresets(read.data)) {
    const why = whyImpossible(preset);
    if (why !== undefined) return { path: [preset.name], message: `presets.${preset.name}: ${why}` };
  }
  return undefined;
}

/** Those of a configuration in which {@link ownPresetsFault} finds nothing. */
export function ownPresets(said: Readonly<Record<string, OwnPreset>>): readonly Preset[] {
  return Object.entries(said).map(([name, own]) => presetOf(name, own));
}

/** What its figures rest on is not taken over: with other settings they are others. */
function presetOf(name: string, own: OwnPreset): Preset {
  const base = presetNamed(own.like);
  return Object.freeze({
    name,
    settings: presetSettingsSchema.parse({ ...base.settings, ...own.settings }),
    batchLimit: own.batch_limit ?? base.batchLimit,
    below: own.below ?? base.below,
    reason: own.reason === '' ? `as ${own.like}: ${base.reason}` : own.reason,
    source: own.source ?? null,
    families: own.families ?? base.families,
    device: own.device ?? base.device,
    memoryGb: own.memory_gb === undefined ? base.memoryGb : own.memory_gb,
    auto: own.auto,
    speed: own.speed ?? base.speed,
  });
}

/** Why it can hold nowhere that it is made for; undefined where it can. */
export function whyImpossible({ settings, device, families }: Preset): string | undefined {
  const where = device === 'any' ? {} : { device };
  const found = [undefined, ...families].map((family) =>
    impossible(settings, family === undefined ? where : { ...where, ...factsOf({ family, anatomy: null }) }),
  );
  return found.find((one) => one !== null)?.because;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,39}$/i;

function given<Inner extends z.ZodType>(field: z.ZodDefault<Inner>): z.ZodExactOptional<Inner> {
  return field.unwrap().exactOptional();
}

function formFault(issue: z.core.$ZodIssue | undefined, said: unknown): OwnFault {
  const path = (issue?.path ?? []).map((part) => (typeof part === 'number' ? part : String(part)));
  if (path.length === 0) return { path, message: 'presets must hold presets, one "name: { settings: … }" each' };
  if (issue?.code === 'unrecognized_keys') {
    const key = issue.keys[0] ?? '';
    const known = Object.keys(path.length === 1 ? ownPresetSchema.shape : changes.shape);
    const message = `presets.${[...path, key].join('.')} is not a setting of a preset`;
    return { path: [...path, key], message: `${message}${suggestion(key, known)}` };
  }
  const value = at(said, path);
  const reason = (issue?.message ?? 'not valid').replace(/^[^:]*: (?=expected)/, '');
  const meant = issue?.code === 'invalid_value' ? suggestion(String(value), issue.values.map(String)) : '';
  return { path, message: `presets.${path.join('.')} cannot be ${JSON.stringify(value)}: ${reason}${meant}` };
}

function at(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>(
    (holder, name) => Object.entries(holder ?? {}).find(([key]) => key === `${name}`)?.[1],
    value,
  );
}

function nameFault(name: string): OwnFault | undefined {
  const refused = (why: string) => ({ path: [name], message: `presets.${name}: ${why}` });
  if (!NAME.test(name)) return refused('a name has at most 40 letters, digits, ".", "_" and "-"');
  const alike = (other: string) => other.toLowerCase() === name.toLowerCase();
  if (alike(AUTO)) return refused('auto means a choice by the device; give it another name');
  const taken = PRESETS.find((preset) => alike(preset.name));
  return taken === undefined ? undefined : refused(`the catalogue has ${taken.name}; give it another name`);
}

function likeFault(name: string, { like }: OwnPreset): OwnFault | undefined {
  return unknownName(
    [name, 'like'],
    like,
    PRESETS.map((preset) => preset.name),
  );
}

function belowFault(name: string, { below = [] }: OwnPreset, own: readonly string[]): OwnFault | undefined {
  const known = [...PRESETS.map((preset) => preset.name), ...own].filter((other) => other !== name);
  return below
    .map((other, index) => unknownName([name, 'below', index], other, known))
    .find((fault) => fault !== undefined);
}

function unknownName(path: OwnFault['path'], name: string, known: readonly string[]): OwnFault | undefined {
  if (known.includes(name)) return undefined;
  const message = `presets.${path.join('.')} cannot be ${JSON.stringify(name)}: there is no such preset to name here`;
  return { path, message: `${message}${suggestion(name, known)}` };
}
