import { describe, expect, it } from 'vitest';
import { MeterFigures, type TelemetryFigures } from '../../src/cost/meter-figures.ts';
import type { Reading } from '../../src/ports.ts';

type Power = Extract<Reading, { kind: 'power' }>;

const power = (at: number, watts: number | null, more: Partial<Power> = {}): Reading => ({
  kind: 'power',
  at,
  gpu: 'GPU-1',
  watts,
  instant: true,
  limit: 450,
  utilization: 50,
  memoryUsed: null,
  memoryTotal: null,
  temperature: null,
  fan: null,
  clock: null,
  state: null,
  ...more,
});
const counter = (at: number, millijoules: number | null, gpu = 'GPU-1'): Reading => ({
  kind: 'counter',
  at,
  gpu,
  millijoules,
  processes: null,
});

/** At 5 Hz, with a counter that tells the truth each second. */
function card(seconds: number, watts: (second: number) => number, counted = true): Reading[] {
  const readings: Reading[] = [];
  let millijoules = 5_000_000;
  for (let at = 0; at <= seconds * 1000; at += 200) {
    readings.push(power(at, watts(at / 1000)));
    if (counted && at % 1000 === 0) readings.push(counter(at, Math.round(millijoules)));
    millijoules += ((watts(at / 1000) + watts(at / 1000 + 0.2)) / 2) * 200;
  }
  return readings;
}

function figuresOf(readings: readonly Reading[], names?: ReadonlyMap<string, string>): TelemetryFigures {
  const figures = new MeterFigures(names);
  for (const reading of readings) figures.add(reading);
  return figures.figures;
}

const only = (readings: readonly Reading[]) => figuresOf(readings).gpus[0];

describe('the figures of a recording', () => {
  it('have counter and integral of a card side by side', () => {
    const figures = figuresOf(
      card(60, (at) => (at < 30 ? 20 : 320)),
      new Map([['GPU-1', 'RTX 4090']]),
    );
    expect(figures.gpus).toEqual([
      {
        uuid: 'GPU-1',
        name: 'RTX 4090',
        seconds: 60,
        energy_counter_j: expect.closeTo(10_230, 0),
        counter_seconds: 60,
        energy_integral_j: expect.closeTo(10_230, 0),
        bound_j: expect.any(Number),
        likely_j: expect.closeTo(30, 0),
        coarse: true,
        integral_ratio: expect.closeTo(1, 2),
        ratio_seconds: 60,
        gaps: 0,
        gap_seconds: 0,
        missing_seconds: 0,
        peak_w: 320,
        idle_w: null,
        lost: 0,
        flags: [],
      },
    ]);
    expect(figures).toMatchObject({ wall: null, package: null, lost: [] });
  });

  it('have no counter where there are no lines of it, or it answers nothing', () => {
    expect(only(card(10, () => 100, false))).toMatchObject({ energy_counter_j: null, integral_ratio: null, flags: [] });
    const silent = card(10, () => 100, false).flatMap((one) => [one, counter(one.at, null)]);
    expect(only(silent)).toMatchObject({ energy_counter_j: null, energy_integral_j: 1000 });
  });

  it('have nothing by a counter that was read once, and not 0 J', () => {
    const once = card(60, () => 200).filter(({ kind, at }) => kind !== 'counter' || at === 30_000);
    expect(only(once)).toMatchObject({ seconds: 60, energy_counter_j: null, counter_seconds: null });
  });

  it('say in how much of the time the counter was read', () => {
    const late = card(60, () => 200).filter(({ kind, at }) => kind !== 'counter' || at >= 45_000);
    expect(only(late)).toMatchObject({ seconds: 60, energy_counter_j: 3000, counter_seconds: 15 });
  });

  it('have no ratio to a counter that stands still, and say that the two disagree', () => {
    const still = card(60, () => 200).map((one) => (one.kind === 'counter' ? counter(one.at, 5) : one));
    expect(only(still)).toMatchObject({ energy_counter_j: 0, integral_ratio: null, flags: ['disagrees'] });
  });

  it('have no integral where the card tells no power, which is not 0', () => {
    const blind = card(10, () => 100).map((one) => (one.kind === 'power' ? { ...one, watts: null } : one));
    expect(only(blind)).toMatchObject({
      energy_counter_j: 1000,
      energy_integral_j: null,
      bound_j: null,
      peak_w: null,
      idle_w: null,
      integral_ratio: null,
    });
  });

  it('fill the stretch of a counter that fell by its integral', () => {
    const readings = card(60, () => 200).map((one) =>
      one.kind === 'counter' && one.at >= 30_000
        ? counter(one.at, (one.millijoules ?? 0) - 5_900_000 - 5_000_000)
        : one,
    );
    expect(only(readings)).toMatchObject({ energy_counter_j: 12_000, flags: ['counter_fell'], integral_ratio: 1 });
  });

  it('say where a counter fell while nobody sampled', () => {
    const readings = card(60, () => 200)
      .filter(({ kind, at }) => kind !== 'power' || at < 20_000 || at > 40_000)
      .filter(({ kind, at }) => kind !== 'counter' || at < 20_000 || at > 40_000)
      .map((one) => (one.kind === 'counter' && one.at > 30_000 ? counter(one.at, one.at * 200) : one));
    const figures = only(readings);
    expect(figures).toMatchObject({ missing_seconds: 20.4, gaps: 1, gap_seconds: 20.4 });
    expect(figures?.flags).toContain('unfilled');
    expect(figures?.energy_counter_j).toBeLessThan(12_000);
  });

  it('do not believe a counter that rose by more than the card can draw', () => {
    const readings = card(60, () => 200).map((one) =>
      one.kind === 'counter' && one.at === 30_000 ? counter(one.at, 0) : one,
    );
    expect(only(readings)).toMatchObject({ energy_counter_j: 12_000, flags: ['counter_fell', 'implausible'] });
  });

  it('say where counter and integral disagree over ten seconds and more', () => {
    const off = (seconds: number) =>
      card(seconds, () => 200).map((one) =>
        one.kind === 'counter' ? counter(one.at, Math.round(0.6 * (one.millijoules ?? 0))) : one,
      );
    expect(only(off(60))).toMatchObject({ integral_ratio: 1.6667, flags: ['disagrees'] });
    expect(only(off(5))).toMatchObject({ integral_ratio: 1.6667, flags: [] });
  });

  it('do not take power that is held over a silence for another opinion than the counter', () => {
    const readings = card(60, (at) => (at < 20.4 || at > 40 ? 200 : 20));
    const silent = readings.filter(({ kind, at }) => kind !== 'power' || at <= 20_200 || at >= 40_200);
    expect(only(silent)?.integral_ratio).toBeCloseTo(1, 1);
    expect(only(silent)).toMatchObject({ flags: [], missing_seconds: 20 });
  });

  it('compare counter and integral over the same time only', () => {
    const late = card(60, () => 200).filter(({ kind, at }) => kind !== 'counter' || at >= 30_000);
    expect(only(late)).toMatchObject({
      energy_counter_j: 6000,
      energy_integral_j: 12_000,
      integral_ratio: 1,
      flags: [],
    });
  });

  it('know the idle draw from moments without work only, and not from the lowest of them', () => {
    const readings = Array.from({ length: 100 }, (_, at) =>
      power(at * 200, at < 50 ? 10 + at / 10 : 300, { utilization: at < 50 ? 0 : 90 }),
    );
    expect(only(readings)).toMatchObject({ idle_w: 10.4, peak_w: 300 });
    expect(only([power(0, 15, { utilization: null })])).toMatchObject({ idle_w: null });
  });

  it('say of means that they are', () => {
    const means = card(30, () => 200, false).map((one) => (one.kind === 'power' ? { ...one, instant: false } : one));
    const [instant, mean] = [only(card(30, () => 200, false)), only(means)];
    expect(mean?.flags).toEqual(['mean_power']);
    expect(mean?.bound_j).toBeCloseTo((instant?.bound_j ?? 0) + 200, 2);
  });

  it('keep two equal cards apart', () => {
    const two = card(10, () => 30, false).flatMap((one): Reading[] =>
      one.kind === 'power' ? [one, { ...one, gpu: 'GPU-2' }] : [],
    );
    const busy = two.map((one) => (one.kind === 'power' && one.gpu === 'GPU-2' ? { ...one, watts: 400 } : one));
    expect(figuresOf(busy).gpus).toMatchObject([
      { uuid: 'GPU-1', energy_integral_j: 300 },
      { uuid: 'GPU-2', energy_integral_j: 4000 },
    ]);
  });

  it('count how often the meters of cards fell silent, and hold no power over it', () => {
    const lost: Reading = { kind: 'lost', at: 10_300, source: 'nvidia-smi', reason: 'it ended' };
    const readings = card(60, () => 200, false).filter(({ at }) => at <= 10_200 || at >= 30_200);
    const figures = figuresOf([...readings.slice(0, 52), lost, ...readings.slice(52)]);
    expect(figures.gpus[0]).toMatchObject({ lost: 1, missing_seconds: 20, energy_integral_j: 8000 });
    expect(figures.lost).toEqual([{ at: 10_300, source: 'nvidia-smi', reason: 'it ended' }]);
  });
});

describe('the figures of a plug and of processors', () => {
  const wall = (at: number, watts: number | null, wattHours: number | null): Reading => ({
    kind: 'wall',
    at,
    watts,
    wattHours,
  });

  it('go by the counter of the plug where it moved far enough, and by its power else', () => {
    const hours = Array.from({ length: 1801 }, (_, at) => wall(at * 2000, 100, Math.floor((at * 200) / 3600)));
    expect(figuresOf(hours).wall).toMatchObject({
      seconds: 3600,
      meter: 'plug_counter',
      energy_j: 360_000,
      bound_j: null,
    });
    expect(figuresOf(hours.slice(0, 31)).wall).toMatchObject({
      meter: 'plug_power',
      energy_j: 6000,
      gaps: 0,
      peak_w: 100,
    });
  });

  it('do not go by one that fell, and know nothing of a plug that says nothing', () => {
    const fell = Array.from({ length: 1801 }, (_, at) => wall(at * 2000, 100, at < 900 ? at : at - 900));
    expect(figuresOf(fell).wall).toMatchObject({ meter: 'plug_power', energy_j: 360_000 });
    expect(figuresOf([wall(0, null, null)]).wall).toMatchObject({ meter: 'none', energy_j: null });
  });

  it('add up the rises of the processors', () => {
    const sum = (at: number, millijoules: number): Reading => ({ kind: 'package', at, millijoules });
    expect(figuresOf([sum(0, 5000), sum(1000, 65_000), sum(2000, 0), sum(3000, 10_000)]).package).toEqual({
      seconds: 3,
      energy_j: 70,
    });
  });
});
