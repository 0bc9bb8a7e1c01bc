import { describe, expect, it } from 'vitest';
import { plantedForDiffusers, plantedForFake } from './prompts.ts';
import { type ScheduleAsk, scheduleOf } from './schedule.ts';

const ASK: ScheduleAsk = { seed: 7, jobs: 1_000, kills: 31, redisKills: 3, hangs: 2 };
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
      const after = strikes.map((strike) => strike.after);
      expect(after).toEqual(after.toSorted((a, b) => a - b));
      expect(Math.max(...after)).toBeLessThan(900);
    }
  });

  it('never has two hurried strikes in a row, and none about a hang or a death of Redis', () => {
    const pairs = SEEDS.flatMap((seed) => {
      const strikes = scheduleOf({ ...ASK, seed });
      return strikes.map((strike, at) => ({ strike, before: strikes[at - 1] }));
    });
    const alone = (kind: string | undefined) => kind === 'redis' || kind === 'hang';
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
