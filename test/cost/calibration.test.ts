import { describe, expect, it } from 'vitest';
import { calibrate } from '../../src/cost/calibration.ts';
import { type LoadPair, LoadPairs, steadyOf } from '../../src/cost/load-pairs.ts';
import type { Reading } from '../../src/ports.ts';
import { seeded } from '../support/rng.ts';

interface Host {
  readonly efficiency: number;
  readonly host: number;
  /** Each lasts so many seconds. */
  readonly loads: readonly (readonly [watts: number, seconds: number])[];
  readonly noise?: number;
  /** Seconds by which the plug tells a change later. */
  readonly lag?: number;
}

/** Pairs every two seconds. */
function pairsOf({ efficiency, host, loads, noise = 0, lag = 0 }: Host, rng = seeded(1)): LoadPair[] {
  const stray = () => 1 + noise * (2 * rng() - 1);
  const each = loads.flatMap(([watts, seconds]) => Array.from({ length: seconds / 2 }, () => watts));
  return each.map((gpu, at) => {
    const drawn = each[Math.max(0, at - lag / 2)] ?? gpu;
    return { at: at * 2000, gpu: gpu * stray(), wall: ((drawn + host) / efficiency) * stray() };
  });
}

const GOLD: Host = {
  efficiency: 0.9,
  host: 60,
  loads: [
    [25, 60],
    [310, 120],
  ],
};

describe('a calibration', () => {
  it('finds supply and host of made-up ones, through noise and a plug that lags', () => {
    const rng = seeded(7);
    for (let round = 0; round < 100; round++) {
      const host = { efficiency: 0.8 + 0.15 * rng(), host: 30 + 120 * rng(), noise: 0.01, lag: 4 };
      const found = calibrate(
        pairsOf(
          {
            ...host,
            loads: [
              [20 + 20 * rng(), 60],
              [200 + 200 * rng(), 120],
            ],
          },
          rng,
        ),
      );
      if (!found.ok) throw new Error(found.reason);
      expect(Math.abs(found.supplyEfficiency - host.efficiency)).toBeLessThan(0.02);
      expect(Math.abs(found.hostWatts - host.host)).toBeLessThan(8);
    }
  });

  it('says over which loads, by how many readings, and how far off they are', () => {
    const exact = calibrate(pairsOf(GOLD));
    expect(exact).toEqual({
      ok: true,
      supplyEfficiency: 0.9,
      hostWatts: 60,
      residual: 0,
      count: 80,
      dropped: 0,
      least: 25,
      most: 310,
    });
  });

  it('is not led astray by something else that drew from the plug for a while', () => {
    const pairs = pairsOf({ ...GOLD, noise: 0.005 });
    const kettle = pairs.map((pair) =>
      pair.at >= 100_000 && pair.at < 130_000 ? { ...pair, wall: pair.wall + 900 } : pair,
    );
    const found = calibrate(kettle);
    if (!found.ok) throw new Error(found.reason);
    expect(found.dropped).toBeGreaterThan(3);
    expect(found.supplyEfficiency).toBeCloseTo(0.9, 1);
    expect(Math.abs(found.hostWatts - 60)).toBeLessThan(4);
  });

  it.each<[string, LoadPair[], RegExp]>([
    ['nothing', [], /^plug and cards were never read/],
    [
      'too little',
      pairsOf({
        ...GOLD,
        loads: [
          [25, 14],
          [300, 14],
        ],
      }),
      /let each load last/,
    ],
    ['one load', pairsOf({ ...GOLD, loads: [[300, 120]] }), /^only one load was seen, 300 to 300 W/],
    [
      'loads that never rest',
      pairsOf({ ...GOLD, loads: Array.from({ length: 40 }, (_, at) => [at % 2 ? 300 : 20, 6]) }),
      /were steady/,
    ],
    ['a plug of something else', pairsOf({ ...GOLD, efficiency: 1.4 }), /0\.71 W more .* less than 1 cannot be/],
    ['two hosts on a plug', pairsOf({ ...GOLD, efficiency: 0.4 }), /2\.50 W more .* no supply loses half/],
    ['a host that gives power', pairsOf({ ...GOLD, host: -20 }), /less than 0 cannot be/],
  ])('refuses %s, and says why', (_, pairs, reason) => {
    expect(calibrate(pairs)).toEqual({ ok: false, reason: expect.stringMatching(reason) });
  });
});

describe('pairs of a calibration', () => {
  const power = (at: number, gpu: string, watts: number | null): Reading => ({
    kind: 'power',
    at,
    gpu,
    watts,
    instant: true,
    limit: null,
    utilization: null,
    memoryUsed: null,
    memoryTotal: null,
    temperature: null,
    fan: null,
    clock: null,
    state: null,
  });
  const wall = (at: number, watts: number | null): Reading => ({ kind: 'wall', at, watts, wattHours: null });
  const made = (readings: readonly Reading[]) => {
    const pairs = new LoadPairs();
    return readings.map((reading) => pairs.add(reading)).filter((pair) => pair !== null);
  };

  it('are the mean of each card since the last one, all cards together', () => {
    const readings = [power(0, 'a', 100), power(1, 'b', 20), power(2, 'a', 200), wall(3, 300), power(4, 'a', 50)];
    expect(made([...readings, power(5, 'b', 30), wall(6, 160)])).toEqual([
      { at: 3, gpu: 170, wall: 300 },
      { at: 6, gpu: 80, wall: 160 },
    ]);
  });

  it('are none while a card is silent, or the plug is', () => {
    expect(made([power(0, 'a', 100), power(0, 'b', null), wall(1, 300), power(2, 'b', 20), wall(3, 300)])).toEqual([]);
    expect(made([power(0, 'a', 100), wall(1, null)])).toEqual([]);
    expect(made([wall(1, 300)])).toEqual([]);
  });

  it('are steady after ten seconds without a step, and without a hole', () => {
    const pair = (seconds: number, gpu: number): LoadPair => ({ at: seconds * 1000, gpu, wall: gpu + 60 });
    const times = [0, 2, 4, 6, 8, 10, 12, 14];
    expect(steadyOf(times.map((at) => pair(at, 100))).map(({ at }) => at / 1000)).toEqual([10, 12, 14]);
    expect(steadyOf(times.map((at) => pair(at, at < 6 ? 100 : 200)))).toEqual([]);
    expect(steadyOf([0, 2, 4, 16, 18, 20].map((at) => pair(at, 100)))).toEqual([]);
  });
});
