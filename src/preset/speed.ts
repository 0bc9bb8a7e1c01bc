import type { Seconds } from '../units.ts';
import type { Preset } from './catalogue.ts';
import { engineOf } from './engine.ts';
import type { Ground } from './explanation.ts';

/** What batches of one engine and size took, on the device, of the model and in the shape that are asked about. */
export interface Measured {
  readonly engine: string;
  readonly batch: number;
  readonly stepSeconds: Seconds;
  readonly otherSeconds: Seconds;
  readonly peakBytes: number;
  /** Warm batches that it was seen in; 0: the times are not to be believed. */
  readonly count: number;
}

export interface Speed {
  /** Of one picture; null where nothing was measured in this place. */
  readonly seconds: Seconds | null;
  readonly ground: Ground | null;
  /** The smaller the faster, among speeds of one question. */
  readonly rank: number;
}

export interface SpeedQuestion {
  readonly steps: number;
  readonly measured: readonly Measured[];
  /** Whose priors measurements of one may be carried over to another by. */
  readonly candidates: readonly Preset[];
}

/**
 * How much faster a picture is made in a batch of twice the size, until it was measured. Published gains go from 1 % to
 * 120 % by card and model, so this is no forecast: it has the larger of two sizes tried first, and never makes a slower
 * preset win by its size.
 */
const GAIN_OF_DOUBLING = 1.001;

/** Batches after which a time that was longer than expected is believed: one alone may have been disturbed. */
export const SURE = 2;

/**
 * Tells how fast pictures are made: by what was measured of this engine and size; else of this engine in the nearest
 * size; else of the preset whose prior is nearest, scaled; else by the priors alone, without a figure in seconds.
 * What one batch says against a preset is not enough to leave it: until there was another, its rank is the expected one.
 */
export function speedIn({ steps, measured, candidates }: SpeedQuestion): (preset: Preset, batch: number) => Speed {
  const priors = priorsOf(candidates);
  const known = measured.flatMap((one) => {
    const prior = priors.get(one.engine);
    const seconds = (one.stepSeconds * steps + one.otherSeconds) / one.batch;
    return prior === undefined || one.count === 0 ? [] : [{ ...one, seconds, prior }];
  });
  return (preset, batch) => {
    const engine = engineOf(preset);
    const own = known.find((one) => one.engine === engine && one.batch === batch);
    const others = known.filter((one) => one !== own);
    const expected = scaled(others, engine, priors.get(engine) ?? preset.speed, batch);
    if (own !== undefined) {
      const isBelieved = own.count >= SURE || expected === null || own.seconds <= expected;
      if (isBelieved) return { seconds: own.seconds, ground: 'learned', rank: own.seconds };
    }
    if (expected === null) return { seconds: null, ground: null, rank: 1 / (preset.speed * gainOf(batch)) };
    return { seconds: expected, ground: 'assumed', rank: expected };
  };
}

/** By engine; of presets that set the same the first counts. */
function priorsOf(candidates: readonly Preset[]): ReadonlyMap<string, number> {
  const priors = new Map<string, number>();
  for (const preset of candidates) {
    const engine = engineOf(preset);
    if (!priors.has(engine)) priors.set(engine, preset.speed);
  }
  return priors;
}

/** Seconds of one picture, from what was measured of others; null where nothing was. */
function scaled(
  known: readonly (Measured & { readonly seconds: Seconds; readonly prior: number })[],
  engine: string,
  prior: number,
  batch: number,
): Seconds | null {
  const like =
    nearest(
      known,
      (one) => one.engine === engine,
      (one) => one.batch / batch,
    ) ??
    nearest(
      known,
      () => true,
      (one) => one.prior / prior,
    );
  return like === null ? null : (like.seconds * like.prior * gainOf(like.batch)) / (prior * gainOf(batch));
}

function gainOf(batch: number): number {
  return GAIN_OF_DOUBLING ** Math.log2(batch);
}

/** By a ratio that is 1 where nothing differs; of two that are as near, the faster one. */
function nearest<One extends { readonly seconds: Seconds }>(
  all: readonly One[],
  isMeant: (one: One) => boolean,
  ratio: (one: One) => number,
): One | null {
  const distance = (one: One) => Math.abs(Math.log2(ratio(one)));
  const [first] = all
    .filter(isMeant)
    .sort((one, other) => distance(one) - distance(other) || one.seconds - other.seconds);
  return first ?? null;
}
