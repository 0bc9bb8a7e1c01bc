import type { Request } from '../job/request.ts';
import type { EpochMillis, Millis } from '../units.ts';
import { type Preset, presetNamed, safely } from './catalogue.ts';

/** What is known of an engine's memory with pictures of one shape on one device. */
export interface Fit {
  /** The largest batch that may still be tried; 0: not even one picture fits. */
  readonly limit: number;
  /** What ran out of memory: batches of these sizes, in the order of the tries, or the load already. */
  readonly tried: readonly number[] | 'load';
}

const DAY: Millis = 24 * 60 * 60_000;

/**
 * For how long a limit is believed. What else was in the memory then (a game, a browser, another model) is gone some
 * day, and a try costs one load. Where smaller batches are made all the same, a month is soon enough; where not even
 * one picture fits, jobs fail for it, and the next night is to find out.
 */
const BELIEF = { smaller: 30 * DAY, none: DAY } as const satisfies Readonly<Record<string, Millis>>;

/** One that comes from the future, because the clock was set, is believed for no longer than one that is as old. */
export function isBelieved(
  { limit, at }: { readonly limit: number; readonly at: EpochMillis },
  now: EpochMillis,
): boolean {
  return Math.abs(now - at) < beliefIn(limit);
}

export function beliefIn(limit: number): Millis {
  return limit === 0 ? BELIEF.none : BELIEF.smaller;
}

export interface Asked {
  readonly preset: Preset;
  /** That those below it are among; by default the catalogue's. */
  readonly presets?: readonly Preset[];
  /** With the settings that cannot overflow. */
  readonly safe: boolean;
  /** How many pictures a batch may hold at most, instead of what the preset says. */
  readonly most: number | undefined;
  /** By the name of the preset that an engine has. */
  readonly fits: ReadonlyMap<string, Fit>;
  /** For the sentence, `1024x1024 does not fit on cuda:0`. */
  readonly size: string;
  readonly device: string;
}

/** What to try next for a picture, or why there is nothing left to try. */
export type Rung = { readonly preset: Preset; readonly limit: number } | { readonly exhausted: string };

/** The batch is halved first, down to one picture; then the next preset below has its turn. */
export function rungFor({ preset, presets, safe, most, fits, size, device }: Asked): Rung {
  const rungs = [preset, ...preset.below.map((name) => presetNamed(name, presets))].map((rung) =>
    safe ? safely(rung) : rung,
  );
  const next = rungs.find((rung) => fits.get(rung.name)?.limit !== 0);
  if (next !== undefined) {
    const limit = most ?? next.batchLimit;
    return { preset: next, limit: Math.min(limit, fits.get(next.name)?.limit ?? limit) };
  }
  const tries = rungs.map((rung) => triesOf(rung.name, fits.get(rung.name)?.tried ?? []));
  return { exhausted: `${size} does not fit on ${device}: tried ${tries.join(' and ')}` };
}

/** What of a request decides how much memory its picture takes: true guidance means two passes at once. */
export function shapeOf(request: Pick<Request, 'width' | 'height' | 'guidance'>): string {
  return `${sizeOf(request)}${request.guidance > 1 ? '+cfg' : ''}`;
}

export function sizeOf({ width, height }: Pick<Request, 'width' | 'height'>): string {
  return `${width}x${height}`;
}

function triesOf(name: string, tried: Fit['tried']): string {
  return tried === 'load'
    ? `${name}, which ran out of memory while it loaded`
    : `${name} in batches of ${tried.join(', ')}`;
}
