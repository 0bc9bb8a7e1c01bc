import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Anatomy } from './anatomy.ts';
import type { PresetSettings } from './settings.ts';

/** What is known of where a preset is to hold; null and left out mean unknown, and a rule about that does not apply. */
export interface Facts {
  readonly device?: 'cpu' | 'cuda';
  readonly denoiser?: 'unet' | 'transformer' | null;
  readonly family?: 'sd' | 'sdxl' | 'flux' | 'other';
  /** Compute capability of the card as one number. */
  readonly capability?: number | null;
  readonly loras?: boolean;
}

export interface Impossible {
  /** Of the rule. */
  readonly name: string;
  /** What cannot hold, why, and what to use instead; it has no preset in it. */
  readonly because: string;
}

/**
 * The first rule that is broken, in the order of the file, or null. The worker asks the same rules with all facts; what
 * only a package or a model at hand can tell, it says itself.
 */
export function impossible(settings: PresetSettings, facts: Facts): Impossible | null {
  const rule = RULES.find((one) => isBroken(one, settings, facts));
  if (rule === undefined) return null;
  const named = [...Object.keys(rule.when), ...Object.keys(rule.unless)];
  const pairs = named.map((field) => `${field}=${String(settingOf(settings, field))}`).join(' with ');
  return { name: rule.name, because: `${pairs} cannot hold${rule.where}: ${rule.because}; ${rule.instead}` };
}

/** What a model says; where its anatomy is not known, its family does, and another pipeline may have either denoiser. */
export function factsOf({ family, anatomy }: ModelFacts): Pick<Facts, 'family' | 'denoiser'> {
  return { family, denoiser: anatomy?.denoiser.kind ?? DENOISERS[family] };
}

interface ModelFacts {
  readonly family: NonNullable<Facts['family']>;
  readonly anatomy: Anatomy | null;
}

const DENOISERS = { sd: 'unet', sdxl: 'unet', flux: 'transformer', other: null } as const;

const values = z.array(z.union([z.string(), z.boolean(), z.number()]));
const ruleSchema = z.strictObject({
  name: z.string(),
  when: z.record(z.string(), values),
  unless: z.record(z.string(), values),
  facts: z.partialRecord(z.enum(['device', 'denoiser', 'family', 'loras']), values),
  capability_below: z.number().nullable(),
  where: z.string(),
  because: z.string(),
  instead: z.string(),
  source: z.string(),
});
type Rule = z.output<typeof ruleSchema>;

/** It lies in the worker's package, which travels without the orchestrator. */
const FILE = join(import.meta.dirname, '..', '..', 'python-worker', 'kilnwatt_worker', 'combinations.json');
export const RULES: readonly Rule[] = z.array(ruleSchema).parse(JSON.parse(readFileSync(FILE, 'utf8')));

function isBroken(rule: Rule, settings: PresetSettings, facts: Facts): boolean {
  return (
    Object.entries(rule.when).every(([field, some]) => isOneOf(settingOf(settings, field), some)) &&
    Object.entries(rule.unless).every(([field, none]) => !isOneOf(settingOf(settings, field), none)) &&
    Object.entries(rule.facts).every(([fact, some]) => isOneOf(settingOf(facts, fact), some)) &&
    (rule.capability_below === null || (facts.capability ?? Number.POSITIVE_INFINITY) < rule.capability_below)
  );
}

function isOneOf(value: unknown, some: readonly unknown[]): boolean {
  return some.includes(value);
}

function settingOf(holder: object, name: string): unknown {
  return Object.entries(holder).find(([key]) => key === name)?.[1];
}
