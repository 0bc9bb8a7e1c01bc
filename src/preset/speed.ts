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

/**
 * Tells how fast pictures are made: by what was measured of this engine and size; else of this engine in the nearest
 * size; else of the preset whose prior is nearest, scaled; else by the priors alone, without a figure in seconds.
 */
export function speedIn({ steps, measured, candidates }: SpeedQuestion): (preset: Preset, batch: number) => Speed {
  const priors = new Map(candidates.map((preset) => [engineOf(preset), preset.speed]));
  const known = measured.flatMap((one) => {
    const prior = priors.get(one.engine);
    const seconds = (one.stepSeconds * steps + one.otherSeconds) / one.batch;
    return prior === undefined ? [] : [{ ...one, seconds, prior }];
  });
  return (preset, batch) => {
    const engine = engineOf(preset);
    const own = nearest(
      known,
      (one) => one.engine === engine,
      (one) => one.batch / batch,
    );
    if (own?.batch === batch) return { seconds: own.seconds, ground: 'learned', rank: own.seconds };
    const like =
      own ??
      nearest(
        known,
        () => true,
        (one) => one.prior / preset.speed,
      );
    const worth = preset.speed * gainOf(batch);
    if (like === null) return { seconds: null, ground: null, rank: 1 / worth };
    const seconds = (like.seconds * like.prior * gainOf(like.batch)) / worth;
    return { seconds, ground: 'assumed', rank: seconds };
  };
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
