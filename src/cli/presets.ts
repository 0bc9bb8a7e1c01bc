import type { Device } from '../ports.ts';
import { PRESETS, type Preset, presetNamed, presetsWith } from '../preset/catalogue.ts';
import { NEUTRAL } from '../preset/settings.ts';
import { techniqueOf } from '../preset/techniques.ts';
import type { Bytes } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { wrappedColumns } from './table.ts';

export interface PresetsOptions {
  readonly json?: boolean;
  /** Those for other devices too. */
  readonly all?: boolean;
}

/** Not wider, whatever the terminal is: long lines are hard to read. */
export const MOST_COLUMNS = 100;

/** @returns the exit code */
export async function presetsLs(app: App, { json = false, all = false }: PresetsOptions): Promise<number> {
  const machine = await app.machine();
  const known = presetsWith(app.loaded.config.presets).map((preset) => ({
    preset,
    here: machine.filter((place) => isMadeFor(preset, place)).map(({ device }) => device.id),
  }));
  const shown = known.filter(({ here }) => all || here.length > 0);
  if (json) for (const one of shown) app.io.out(JSON.stringify({ ...eventOf(one.preset), here: one.here }));
  else {
    const rows = shown.map(({ preset, here }) => [
      preset.name,
      forWhat(preset),
      WHEN[preset.auto],
      ...(all ? [here.length === 0 ? '-' : here.join(' ')] : []),
      preset.reason,
    ]);
    const head = ['preset', 'for', 'taken if', ...(all ? ['here'] : []), ''];
    for (const line of wrappedColumns([head, ...rows], widthOf(app))) app.io.out(line);
  }
  return EXIT.done;
}

/**
 * @returns the exit code
 * @throws InputError `preset_unknown`
 */
export async function presetsShow(app: App, name: string, { json = false }: PresetsOptions): Promise<number> {
  const preset = presetNamed(name, presetsWith(app.loaded.config.presets));
  if (json) app.io.out(JSON.stringify(eventOf(preset)));
  else for (const line of wrappedColumns(rowsOf(preset, app), widthOf(app))) app.io.out(line);
  return EXIT.done;
}

export function widthOf({ io }: Pick<App, 'io'>): number {
  return io.isTTY ? Math.min(io.columns, MOST_COLUMNS) : MOST_COLUMNS;
}

const WHEN = { fit: 'fits', measured: 'measured', never: 'named' } as const;
const FAMILIES = { sd: 'SD', sdxl: 'SDXL', flux: 'Flux', other: 'others' } as const;

/** By the class of its memory: a card of 12 GB takes what is made for 8. */
function isMadeFor(
  { device, memoryGb }: Preset,
  place: { readonly device: Device; readonly memory: Bytes | null },
): boolean {
  if (device !== 'any' && device !== place.device.kind) return false;
  return memoryGb === null || place.memory === null || place.memory >= memoryGb * 1e9;
}

/** `SDXL, card of 12 GB` */
function forWhat({ families, device, memoryGb }: Preset): string {
  const models = families.length === 0 ? 'any' : families.map((family) => FAMILIES[family]).join(', ');
  const size = memoryGb === null ? '' : ` of ${memoryGb} GB`;
  const where = device === 'any' ? [] : [device === 'cpu' ? 'CPU' : `card${size}`];
  return [models, ...where].join(', ');
}

function rowsOf(preset: Preset, app: App): readonly (readonly string[])[] {
  const own = !PRESETS.includes(preset);
  const settings = settingsOf(preset).map(([field, value]) => [
    `${field}: ${textOf(value)}`,
    techniqueOf(field, value)?.title ?? '',
  ]);
  return [
    [preset.name, preset.reason],
    ['for', forWhat(preset)],
    ...(settings.length === 0 ? [['settings', 'none but what the device is best at']] : settings),
    ['batches', `of ${counted(preset.batchLimit, 'picture')} at most`],
    ['below', preset.below.length === 0 ? 'nothing' : `${preset.below.join(', then ')}, for what does not fit`],
    ['taken', CHOSEN[preset.auto]],
    ['speed', `${preset.speed} times that of plain, a guess that measurements replace`],
    ...(preset.source === null ? [] : [['source', preset.source]]),
    ...(own ? [['from', app.loaded.origins.presets ?? 'the configuration']] : []),
  ];
}

const CHOSEN = {
  fit: 'by auto, where it fits',
  measured: 'by auto, where it was measured',
  never: 'by its name only',
} as const;

/** Those that are not neutral. */
function settingsOf({ settings }: Preset): readonly (readonly [string, unknown])[] {
  const neutral = new Map<string, unknown>(Object.entries(NEUTRAL));
  return Object.entries(settings).filter(([name, value]) => textOf(value) !== textOf(neutral.get(name)));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function eventOf(preset: Preset) {
  const { name, reason, source, families, device, memoryGb: memory_gb, auto, speed, below } = preset;
  const settings = Object.fromEntries(settingsOf(preset));
  return {
    name,
    reason,
    source,
    families,
    device,
    memory_gb,
    settings,
    batch_limit: preset.batchLimit,
    below,
    auto,
    speed,
  };
}
