import { describe, expect, it } from 'vitest';
import { plantedForDiffusers, plantedForFake } from './prompts.ts';
import { type ScheduleAsk, scheduleOf } from './schedule.ts';

const ASK: ScheduleAsk = {
  seed: 7,
  jobs: 1_000,
  kills: 31,
  redisKills: 3,
  hangs: 2,
  controls: ['restart', 'cancel', 'interactive'],
};
const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

describe('a schedule of strikes', () => {
  it('is the same for the same seed and another for another one', () => {
    expect(scheduleOf(ASK)).toEqual(scheduleOf(ASK));
    expect(scheduleOf({ ...ASK, seed: 8 })).not.toEqual(scheduleOf(ASK));
  });

  it('has exactly as many strikes of each kind as were asked for, in order, whatever the seed', () => {
    for (const seed of SEEDS) {
      const strikes = scheduleOf({ ...ASK, seed });
      const count = (kind: string) => strikes.filter((strike) => strike.kind === kind).length;
      expect([count('worker'), count('orchestrator'), count('redis'), count('hang')]).toEqual([16, 15, 3, 2]);
      expect([count('restart'), count('cancel'), count('interactive')]).toEqual([1, 1, 1]);
      const after = strikes.map((strike) => strike.after);
      expect(after).toEqual(after.toSorted((a, b) => a - b));
      expect(Math.max(...after)).toBeLessThan(900);
    }
  });

  it('begins with one of each kind at the very first start and load, at any moment of it', () => {
    for (const seed of SEEDS) {
      const early = scheduleOf({ ...ASK, seed }).slice(0, 3);
      expect(early.map(({ kind }) => kind)).toEqual(['orchestrator', 'worker', 'redis']);
      for (const strike of early) expect(strike).toMatchObject({ after: 0, hurried: true, anyMoment: true });
    }
    const delays = SEEDS.map((seed) => scheduleOf({ ...ASK, seed })[0]?.delay ?? 0);
    expect(Math.min(...delays)).toBeLessThan(100);
    expect(Math.max(...delays)).toBeGreaterThan(1_300);
  });

  it('spares what there is only one of at the first start, or it could not be measured', () => {
    const strikes = scheduleOf({ ...ASK, redisKills: 1, kills: 2 });
    expect(strikes.filter(({ after }) => after === 0 && strikes.length > 1).map(({ kind }) => kind)).not.toContain(
      'redis',
    );
  });

  it('has one picture wanted in the middle of the work', () => {
    for (const seed of SEEDS) {
      const after = scheduleOf({ ...ASK, seed }).find(({ kind }) => kind === 'interactive')?.after ?? 0;
      expect(after).toBeGreaterThan(400);
      expect(after).toBeLessThan(600);
    }
  });

  it('never has two hurried strikes in a row after those, and none about what is to be seen undisturbed', () => {
    const pairs = SEEDS.flatMap((seed) => {
      const strikes = scheduleOf({ ...ASK, seed }).slice(3);
      return strikes.map((strike, at) => ({ strike, before: strikes[at - 1] }));
    });
    const alone = (kind: string | undefined) => kind !== undefined && kind !== 'worker' && kind !== 'orchestrator';
    const hurried = pairs.filter(({ strike }) => strike.hurried);
    expect(hurried.length).toBeGreaterThan(100);
    expect(
      hurried.filter(({ strike, before }) => before?.hurried || alone(strike.kind) || alone(before?.kind)),
    ).toEqual([]);
  });
});

describe('planted prompts', () => {
  const ask = { seed: 3, jobs: 1_000, poison: 3 };

  it('hold as much poison as was asked for, where it is said to be, and every other misbehaviour', () => {
    const { prompts, poison } = plantedForFake(ask);
    expect(prompts).toHaveLength(1_000);
    const places = prompts.flatMap((prompt, at) => (prompt.includes('poison') ? [at] : []));
    expect(places).toEqual(poison);
    expect(poison).toHaveLength(3);
    const kinds = new Set(prompts.flatMap((prompt) => /^thing \d+ (.* once)$/.exec(prompt)?.[1] ?? []));
    expect(kinds.size).toBe(7);
  });

  it('are one job each: no two are alike', () => {
    expect(new Set(plantedForFake(ask).prompts).size).toBe(1_000);
  });

  it('for the model in the box only say which of them the harness is to poison', () => {
    const { prompts, poison } = plantedForDiffusers(ask);
    expect(new Set(poison).size).toBe(3);
    expect(prompts.every((prompt) => /^a \w+ \w+ on a black background$/.test(prompt))).toBe(true);
  });
});
