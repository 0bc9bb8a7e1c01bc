import type { Watts } from '../units.ts';
import { type LoadPair, steadyOf } from './load-pairs.ts';

export type Calibration =
  | {
      readonly ok: true;
      readonly supplyEfficiency: number;
      readonly hostWatts: Watts;
      /** Root of the mean square of what the line is off by. */
      readonly residual: Watts;
      /** Steady pairs that it goes by, and those that fit no line with the rest. */
      readonly count: number;
      readonly dropped: number;
      /** Of the cards, over which it was fitted. */
      readonly least: Watts;
      readonly most: Watts;
    }
  | { readonly ok: false; readonly reason: string };

/**
 * Fits `wall = a + b x cards` through the steady parts: a watt of a card costs b at the wall, so the supply passes on 1/b,
 * and behind it the rest of the host draws a/b. A first line by the median of slopes tells which pairs belong together,
 * so that a quarter of them may be of something else; least squares makes the best of those.
 */
export function calibrate(pairs: readonly LoadPair[]): Calibration {
  if (pairs.length === 0) return refused('plug and cards were never read beside each other');
  const steady = steadyOf(pairs);
  if (steady.length < FEWEST)
    return refused(
      `only ${steady.length} of ${pairs.length} readings of plug and cards were steady, and ${FEWEST} are needed: let each load last half a minute`,
    );
  const narrow = narrowness(steady);
  if (narrow !== null) return refused(narrow);
  const fitting = withoutStrays(steady);
  const line = leastSquares(fitting);
  const wrong = fitting.length < FEWEST ? 'no line goes through most of the readings' : narrowness(fitting);
  const reason = wrong ?? implausibility(line);
  if (reason !== null) return refused(reason);
  return {
    ok: true,
    supplyEfficiency: rounded(1 / line.b, 3),
    hostWatts: rounded(line.a / line.b, 1),
    residual: rounded(Math.sqrt(mean(fitting.map((pair) => offBy(line, pair) ** 2))), 1),
    count: fitting.length,
    dropped: steady.length - fitting.length,
    ...spanOf(fitting),
  };
}

const FEWEST = 10;
/** Of the cards, between idle and load: over less, the slope is made of noise. */
const NARROWEST: Watts = 40;
/** As many as every two of them can be looked at. */
const MOST_COMPARED = 300;

interface Line {
  readonly a: Watts;
  readonly b: number;
}

function refused(reason: string): Calibration {
  return { ok: false, reason };
}

function narrowness(pairs: readonly LoadPair[]): string | null {
  const { least, most } = spanOf(pairs);
  if (most - least >= NARROWEST) return null;
  return `only one load was seen, ${least} to ${most} W of the cards: let them rest for a minute, then work for some`;
}

function implausibility({ a, b }: Line): string | null {
  const slope = `the wall gives ${b.toFixed(2)} W more for each watt of the cards`;
  if (b < 1) return `${slope}, and less than 1 cannot be: does the whole host hang on the plug?`;
  if (b > 2) return `${slope}, and no supply loses half: does something else hang on the plug?`;
  return a < 0 ? `the rest of the host would draw ${a.toFixed(0)} W at the wall, and less than 0 cannot be` : null;
}

function spanOf(pairs: readonly LoadPair[]): { readonly least: Watts; readonly most: Watts } {
  const loads = pairs.map(({ gpu }) => gpu).sort((one, two) => one - two);
  return { least: Math.round(loads[0] ?? 0), most: Math.round(loads.at(-1) ?? 0) };
}

function withoutStrays(pairs: readonly LoadPair[]): readonly LoadPair[] {
  const line = medianLine(pairs.filter((_, at) => at % Math.ceil(pairs.length / MOST_COMPARED) === 0));
  const spread = 1.4826 * median(pairs.map((pair) => Math.abs(offBy(line, pair))));
  return pairs.filter((pair) => Math.abs(offBy(line, pair)) <= Math.max(3, 3 * spread));
}

/** Theil and Sen's, of loads that are far enough apart to tell a slope. */
function medianLine(pairs: readonly LoadPair[]): Line {
  const { least, most } = spanOf(pairs);
  const apart = (most - least) / 4;
  const slopes = pairs.flatMap((one, at) =>
    pairs
      .slice(at + 1)
      .filter((two) => Math.abs(two.gpu - one.gpu) >= apart)
      .map((two) => (two.wall - one.wall) / (two.gpu - one.gpu)),
  );
  const b = median(slopes);
  return { a: median(pairs.map(({ gpu, wall }) => wall - b * gpu)), b };
}

function leastSquares(pairs: readonly LoadPair[]): Line {
  const gpu = mean(pairs.map((pair) => pair.gpu));
  const wall = mean(pairs.map((pair) => pair.wall));
  const together = mean(pairs.map((pair) => (pair.gpu - gpu) * (pair.wall - wall)));
  const b = together / mean(pairs.map((pair) => (pair.gpu - gpu) ** 2));
  return { a: wall - b * gpu, b };
}

function offBy({ a, b }: Line, { gpu, wall }: LoadPair): Watts {
  return wall - (a + b * gpu);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, two) => one - two);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? 0) + (sorted[Math.floor(middle)] ?? 0)) / 2;
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
