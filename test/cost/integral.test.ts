import { describe, expect, it } from 'vitest';
import { Integral, type IntegralFigures, type IntegralOptions } from '../../src/cost/integral.ts';
import { seeded } from '../support/rng.ts';
import { busyCurve, type Curve, curveOf, energyOf, KINDS, rangeOf, samplesOf } from './power-curves.ts';

type Options = IntegralOptions & { readonly mean?: boolean };
type Samples = readonly (readonly [at: number, watts: number | null])[];

function figuresOf(samples: Samples, to: number, options: Options = {}): IntegralFigures | null {
  const { mean = false, ...rest } = options;
  const integral = new Integral({ from: 0, ...rest });
  for (const [at, watts] of samples) integral.add(at, watts, !mean);
  return integral.upTo(to);
}

/** As `figuresOf`, where there must be some. */
function known(samples: Samples, to: number, options: Options = {}): IntegralFigures {
  const figures = figuresOf(samples, to, options);
  if (figures === null) throw new Error('nothing is known of the window');
  return figures;
}

/** Several hundred curves, each sampled in its own way. */
function* cases(seed: number, mean = false): Generator<{ curve: Curve; samples: Samples; range: [number, number] }> {
  const rng = seeded(seed);
  for (let round = 0; round < 60; round++) {
    for (const kind of KINDS) {
      const curve = curveOf(kind, 2000 + rng() * 40_000, rng);
      const options = { every: 50 + rng() ** 2 * 950, jitter: rng() < 0.5 ? 0 : rng(), mean };
      const samples = samplesOf(curve, rng, { ...options, dropped: rng() < 0.5 ? 0 : rng() * 0.3 });
      const { min, max } = rangeOf(curve);
      yield { curve, samples, range: [min, max] };
    }
  }
}

describe('the integral of samples', () => {
  it('adds up trapezia, and holds the nearest sample at both ends', () => {
    const samples = [
      [100, 100],
      [300, 200],
      [500, 200],
    ] as const;
    expect(known(samples, 600)).toMatchObject({
      millijoules: 100 * 100 + 200 * 150 + 200 * 200 + 100 * 200,
      seconds: 0.6,
      missing: 0,
      gaps: { count: 0, seconds: 0 },
      peak: 200,
      samples: 3,
    });
  });

  it('is unknown without a sample, and a real 0 W is not unknown', () => {
    expect(figuresOf([], 1000)).toBeNull();
    expect(figuresOf([[100, null]], 1000)).toBeNull();
    expect(new Integral().upTo(1000)).toBeNull();
    const zeros = [100, 300, 500, 700, 900].map((at) => [at, 0] as const);
    expect(known(zeros, 1000)).toMatchObject({ millijoules: 0, seconds: 1, coarse: false });
  });

  it('counts gaps over a second, and leaves out what is in one over five', () => {
    const samples = [
      [0, 100],
      [2000, 100],
      [2500, null],
      [3000, 100],
      [9000, 100],
      [9500, 100],
    ] as const;
    expect(known(samples, 10_000)).toMatchObject({
      millijoules: 4_000 * 100,
      seconds: 4,
      missing: 6,
      gaps: { count: 2, seconds: 8 },
      coarse: true,
    });
  });

  it('takes ends that are far from any sample for missing', () => {
    expect(figuresOf([[7000, 50]], 20_000)).toBeNull();
    const samples = [
      [7000, 50],
      [7500, 50],
    ] as const;
    expect(known(samples, 20_000)).toMatchObject({ millijoules: 500 * 50, seconds: 0.5, missing: 19.5 });
  });

  it('ignores a sample that is not later than the last, and one below zero', () => {
    const twice = [
      [0, 100],
      [500, 100],
      [500, 900],
      [400, 900],
      [700, -5],
      [1000, 100],
    ] as const;
    expect(known(twice, 1000)).toMatchObject({ millijoules: 100_000, peak: 100, samples: 3 });
  });

  it('goes on from window to window, so that the parts are the whole', () => {
    const rng = seeded(3);
    for (let round = 0; round < 50; round++) {
      const curve = curveOf('ramps', 30_000, rng);
      const samples = samplesOf(curve, rng, { every: 200, jitter: 0.5 });
      const { min, max } = rangeOf(curve);
      const parts = new Integral({ from: 0 });
      const cuts = Array.from({ length: 9 }, () => 500 + rng() * 29_500).sort((a, b) => a - b);
      const figures: (IntegralFigures | null)[] = [];
      for (const [at, watts] of samples) {
        while ((cuts[0] ?? Number.POSITIVE_INFINITY) < at) figures.push(parts.cut(cuts.shift() ?? 0));
        parts.add(at, watts);
      }
      figures.push(parts.cut(30_000));
      const sum = figures.reduce((all, part) => all + (part?.millijoules ?? 0), 0);
      const whole = known(samples, 30_000);
      expect(figures.reduce((all, part) => all + (part?.seconds ?? 0), 0)).toBeCloseTo(30, 6);
      // At a cut the last sample is held, for the next one is not known yet.
      expect(Math.abs(sum - whole.millijoules)).toBeLessThan(9 * 400 * (max - min));
    }
  });

  it('does not end by being looked at', () => {
    const integral = new Integral({ from: 0 });
    integral.add(0, 100);
    integral.add(400, 100);
    expect(integral.upTo(1400)?.millijoules).toBe(140_000);
    integral.add(1000, 0);
    expect(integral.upTo(1000)?.millijoules).toBe(40_000 + 30_000);
  });
});

describe('its bound', () => {
  it('contains the true energy of every curve that stays in the declared range', () => {
    let wrong = 0;
    for (const { curve, samples, range } of cases(1)) {
      const [min, max] = range;
      const figures = figuresOf(samples, curve.length, { declared: { min, max } });
      if (figures === null || figures.missing > 0) continue;
      wrong += Math.abs(energyOf(curve, 0, curve.length) - figures.millijoules) > figures.bound ? 1 : 0;
    }
    expect(wrong).toBe(0);
  });

  it('contains it without a declaration where the samples have seen all of the range', () => {
    let judged = 0;
    for (const { curve, samples, range } of cases(2)) {
      const seen = samples.map(([, watts]) => watts ?? 0);
      const figures = figuresOf(samples, curve.length);
      if (figures === null || figures.missing > 0) continue;
      if (Math.min(...seen) > range[0] + 1e-6 || Math.max(...seen) < range[1] - 1e-6) continue;
      judged += 1;
      expect(Math.abs(energyOf(curve, 0, curve.length) - figures.millijoules)).toBeLessThanOrEqual(figures.bound);
    }
    expect(judged).toBeGreaterThan(60);
  });

  it('is what the worst curve does: off at once after each sample, and back right before the next', () => {
    const samples = Array.from({ length: 51 }, (_, at) => [at * 200, at === 25 ? 400 : 20] as const);
    const { millijoules, bound } = known(samples, 10_000);
    const worst = 400 * 10_000;
    expect(worst - millijoules).toBeLessThanOrEqual(bound);
    expect(bound).toBeLessThanOrEqual(worst - millijoules + 2);
  });

  it('contains the energy of what was sampled beside what is missing', () => {
    const rng = seeded(8);
    for (let round = 0; round < 50; round++) {
      const curve = curveOf('noise', 60_000, rng);
      const { min, max } = rangeOf(curve);
      const samples = samplesOf(curve, rng, { every: 100 }).filter(([at]) => at < 20_000 || at > 40_000);
      const { millijoules, bound, missing } = known(samples, 60_000, { declared: { min, max } });
      const before = samples.findLast(([at]) => at < 30_000)?.[0] ?? 0;
      const after = samples.find(([at]) => at > 30_000)?.[0] ?? 0;
      expect(missing).toBeCloseTo((after - before) / 1000, 6);
      const truth = energyOf(curve, 0, before) + energyOf(curve, after, 60_000);
      expect(Math.abs(truth - millijoules)).toBeLessThanOrEqual(bound);
    }
  });

  it('knows what a mean over a second hides, with a declared range and without one', () => {
    let judged = 0;
    for (const { curve, samples, range } of cases(4, true)) {
      const [min, max] = range;
      const truth = energyOf(curve, 0, curve.length);
      const declared = figuresOf(samples, curve.length, { mean: true, declared: { min, max } });
      const seen = figuresOf(samples, curve.length, { mean: true });
      if (declared === null || seen === null || seen.missing > 0) continue;
      expect(Math.abs(truth - declared.millijoules)).toBeLessThanOrEqual(declared.bound);
      if (max > 2 * seen.peak) continue;
      judged += 1;
      expect(Math.abs(truth - seen.millijoules)).toBeLessThanOrEqual(seen.bound);
    }
    expect(judged).toBeGreaterThan(100);
  });

  it('likely holds where the power went from each sample straight to the next', () => {
    const rng = seeded(5);
    for (let round = 0; round < 200; round++) {
      const curve = curveOf(round % 2 === 0 ? 'levels' : 'ramps', 30_000 + rng() * 30_000, rng);
      // Both ends are sampled, and no level is so short that two steps fall between two samples.
      const inner = samplesOf(curve, rng, { every: 200, jitter: 0.5 });
      const samples = [[0, curve.pieces[0]?.first ?? 0] as const, ...inner];
      const to = samples.at(-1)?.[0] ?? 0;
      const { millijoules, likely, bound } = known(samples, to);
      expect(Math.abs(energyOf(curve, 0, to) - millijoules)).toBeLessThanOrEqual(likely);
      expect(likely).toBeLessThanOrEqual(bound);
    }
  });
});

describe('its error', () => {
  it('is 2 % at most for 30 s and more of instant samples at 5 Hz and faster, as cards draw their power', () => {
    const rng = seeded(6);
    for (let round = 0; round < 200; round++) {
      const curve = busyCurve(30_000 + rng() * 90_000, rng);
      const samples = samplesOf(curve, rng, { every: 100 + rng() * 100, jitter: rng() * 0.5, dropped: rng() * 0.02 });
      const { millijoules } = known(samples, curve.length);
      expect(Math.abs(millijoules / energyOf(curve, 0, curve.length) - 1)).toBeLessThanOrEqual(0.02);
    }
  });
});

describe('a figure is coarse', () => {
  const steady = (count: number, watts: (at: number) => number): Samples =>
    Array.from({ length: count }, (_, at) => [at * 200, watts(at)] as const);

  it('not for a steady load that was sampled well', () => {
    expect(
      known(
        steady(200, (at) => 300 + (at % 3)),
        39_800,
      ).coarse,
    ).toBe(false);
  });

  it('where the power was anywhere between idle and full load, for the samples do not tell what was between them', () => {
    expect(
      known(
        steady(200, (at) => (at < 100 ? 20 : 300)),
        39_800,
      ).coarse,
    ).toBe(true);
  });

  it('after a gap over a second, and of very few samples', () => {
    const gap = steady(200, () => 300).filter(([at]) => at < 10_000 || at > 11_200);
    expect(known(gap, 39_800)).toMatchObject({ coarse: true, gaps: { count: 1, seconds: 1.6 } });
    expect(
      known(
        steady(4, () => 300),
        600,
      ).coarse,
    ).toBe(true);
  });
});
