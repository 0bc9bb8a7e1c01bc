import { AUTO, PRESETS, type Preset, presetNamed, safely } from './catalogue.ts';

export interface Wanted {
  /** As it was asked for, `auto` among others. */
  readonly name: string;
  readonly device: 'cpu' | 'cuda';
  readonly family: Preset['families'][number];
  /** With the settings that cannot overflow. */
  readonly safe: boolean;
}

/**
 * What jobs may be made with: for `auto` all that it may choose for such a model on such a device; for another name
 * that preset and those below it, in this order.
 * @throws InputError `preset_unknown`
 */
export function candidatesFor(
  { name, device, family, safe }: Wanted,
  presets: readonly Preset[] = PRESETS,
): readonly Preset[] {
  const meant = name === AUTO ? presets.filter((preset) => mayChoose(preset, device, family)) : ladder(name, presets);
  return safe ? meant.map(safely) : meant;
}

function mayChoose(preset: Preset, device: Wanted['device'], family: Wanted['family']): boolean {
  const isForDevice = preset.device === 'any' || preset.device === device;
  const isForFamily = preset.families.length === 0 || preset.families.includes(family);
  return preset.auto !== 'never' && isForDevice && isForFamily;
}

function ladder(name: string, presets: readonly Preset[]): readonly Preset[] {
  const preset = presetNamed(name, presets);
  return [preset, ...preset.below.map((below) => presetNamed(below, presets))];
}
