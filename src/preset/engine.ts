import { createHash } from 'node:crypto';
import type { Preset } from './catalogue.ts';
import { NEUTRAL, type PresetSettings } from './settings.ts';

/** Hex digits: two forms of one preset are to be told apart, not all presets of the world. */
const DIGITS = 6;

/**
 * What an engine is called in all that is learned of it, `plain@3f9a1c`: a preset that was edited, or that another
 * version has otherwise, inherits nothing. Fields at rest do not count, so that a new technique changes no old name.
 */
export function engineOf(preset: Pick<Preset, 'name' | 'settings'>): string {
  const known = ENGINES.get(preset);
  if (known !== undefined) return known;
  const { name, settings } = preset;
  const engine = `${name}@${createHash('sha256').update(canonical(settings)).digest('hex').slice(0, DIGITS)}`;
  ENGINES.set(preset, engine);
  return engine;
}

/** Each choice asks many times for the same. */
const ENGINES = new WeakMap<object, string>();

/** The name of its preset, for people. */
export function presetOfEngine(engine: string): string {
  const at = engine.lastIndexOf('@');
  return at === -1 ? engine : engine.slice(0, at);
}

function canonical(settings: PresetSettings): string {
  const atRest = new Map(Object.entries(NEUTRAL).map(([field, value]) => [field, JSON.stringify(value)]));
  const used = Object.entries(settings).filter(([field, value]) => atRest.get(field) !== JSON.stringify(value));
  return JSON.stringify(used.sort(([one], [other]) => (one < other ? -1 : 1)));
}
