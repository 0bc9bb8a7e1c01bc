import { createHash } from 'node:crypto';
import { type Preset, safely } from './catalogue.ts';
import { NEUTRAL, type PresetSettings } from './settings.ts';

/** Hex digits: enough that no two of all presets that a machine ever sees are the same by chance. */
const DIGITS = 12;

/**
 * What an engine is called in all that is learned of it, `3f9a1c0b7d52`: by its settings alone, so that presets that load
 * the same learn from each other, and one that was edited inherits nothing. Fields at rest do not count, so that a new
 * technique changes no old name.
 */
export function engineOf(preset: Pick<Preset, 'settings'>): string {
  const known = ENGINES.get(preset);
  if (known !== undefined) return known;
  const engine = createHash('sha256').update(canonical(preset.settings)).digest('hex').slice(0, DIGITS);
  ENGINES.set(preset, engine);
  return engine;
}

/** Each choice asks many times for the same. */
const ENGINES = new WeakMap<object, string>();

/** For people: the first of these presets that loads this engine, the safe forms last; the engine where none does any more. */
export function presetOfEngine(engine: string, presets: readonly Preset[]): string {
  const all = [...presets, ...presets.map(safely)];
  return all.find((preset) => engineOf(preset) === engine)?.name ?? engine;
}

function canonical(settings: PresetSettings): string {
  const atRest = new Map(Object.entries(NEUTRAL).map(([field, value]) => [field, JSON.stringify(value)]));
  const used = Object.entries(settings).filter(([field, value]) => atRest.get(field) !== JSON.stringify(value));
  return JSON.stringify(used.sort(([one], [other]) => (one < other ? -1 : 1)));
}
