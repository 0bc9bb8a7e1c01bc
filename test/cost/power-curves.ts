import type { Rng } from '../support/rng.ts';

/** Power over time of which the true energy is known: pieces of a straight line each, from 0 to `length` milliseconds. */
export interface Curve {
  readonly kind: string;
  readonly length: number;
  readonly pieces: readonly Piece[];
}

interface Piece {
  readonly from: number;
  readonly to: number;
  /** Watts at both ends. */
  readonly first: number;
  readonly last: number;
}

export const KINDS = ['levels', 'ramps', 'spikes', 'oscillation', 'noise'] as const;

/** A made-up card between `min` and `max` watts. */
export function curveOf(kind: (typeof KINDS)[number], length: number, rng: Rng, [min, max] = [18, 420]): Curve {
  const any = () => min + rng() * (max - min);
  const pieces: Piece[] = [];
  let level = any();
  for (let from = 0; from < length; ) {
    const [span, next] = stepOf(kind, rng, { level, any, min, max });
    const to = Math.min(length, from + span);
    const first = kind === 'ramps' ? level : next;
    pieces.push({ from, to, first, last: next });
    level = next;
    from = to;
  }
  return { kind, length, pieces };
}

/** Of a card that works as cards do: levels of a second and more, each with noise of a few hundredths. */
export function busyCurve(length: number, rng: Rng): Curve {
  const levels = [22, 95, 180, 260, 340];
  const pieces: Piece[] = [];
  for (let from = 0; from < length; ) {
    const level = levels[Math.floor(rng() * levels.length)] ?? 22;
    const end = Math.min(length, from + 1000 + rng() * 4000);
    for (; from < end; ) {
      const to = Math.min(end, from + 20 + rng() * 60);
      const watts = level * (0.97 + 0.06 * rng());
      pieces.push({ from, to, first: watts, last: watts });
      from = to;
    }
  }
  return { kind: 'busy', length, pieces };
}

export function wattsAt({ pieces }: Curve, at: number): number {
  const piece = pieces.find(({ to }) => at < to) ?? pieces.at(-1);
  if (piece === undefined) throw new Error('a curve without pieces');
  return piece.first + ((piece.last - piece.first) * (at - piece.from)) / (piece.to - piece.from);
}

/** Millijoules between two moments; before its beginning a curve has the power of its beginning. */
export function energyOf(curve: Curve, from: number, to: number): number {
  const before = Math.max(0, Math.min(0, to) - from) * wattsAt(curve, 0);
  return curve.pieces.reduce((sum, piece) => {
    const [begin, end] = [Math.max(from, piece.from), Math.min(to, piece.to)];
    if (end <= begin) return sum;
    const slope = (piece.last - piece.first) / (piece.to - piece.from);
    return sum + (end - begin) * (piece.first + slope * ((begin + end) / 2 - piece.from));
  }, before);
}

export function rangeOf({ pieces }: Curve): { readonly min: number; readonly max: number } {
  const ends = pieces.flatMap(({ first, last }) => [first, last]);
  return { min: Math.min(...ends), max: Math.max(...ends) };
}

export interface SamplingOptions {
  readonly every: number;
  /** Part of `every` by which a sample comes late at most. */
  readonly jitter?: number;
  /** Part of the samples that never come. */
  readonly dropped?: number;
  /** Means over the second before. */
  readonly mean?: boolean;
}

export function samplesOf(curve: Curve, rng: Rng, options: SamplingOptions): (readonly [at: number, watts: number])[] {
  const { every, jitter = 0, dropped = 0, mean = false } = options;
  const samples: (readonly [number, number])[] = [];
  for (let at = rng() * every; at < curve.length; at += every) {
    const late = at + rng() * jitter * every;
    if (late >= curve.length || rng() < dropped || late <= (samples.at(-1)?.[0] ?? -1)) continue;
    samples.push([late, mean ? energyOf(curve, late - 1000, late) / 1000 : wattsAt(curve, late)]);
  }
  return samples;
}

interface Place {
  readonly level: number;
  readonly any: () => number;
  readonly min: number;
  readonly max: number;
}

/** How long the next piece is, and where it goes. */
function stepOf(kind: (typeof KINDS)[number], rng: Rng, { level, any, min, max }: Place): readonly [number, number] {
  switch (kind) {
    case 'levels':
    case 'ramps':
      return [1000 + rng() * 4000, any()];
    case 'spikes':
      return rng() < 0.5 ? [5 + rng() * 60, max] : [100 + rng() * 2000, min];
    case 'oscillation':
      return [11 + rng() * 2, level > (min + max) / 2 ? min : max];
    case 'noise':
      return [10 + rng() * 40, any()];
  }
}
