import { expect, it } from 'vitest';
import { BlackStreak } from '../../src/batch/black-streak.ts';

it('holds a run after three black pictures in a row, and not when one between them was made', () => {
  const streak = new BlackStreak();
  const told = (['black', 'black', 'made', 'black', 'black', 'other', 'black'] as const).map((outcome) =>
    streak.note('r', outcome),
  );
  expect(told).toEqual([false, false, false, false, false, false, true]);
  expect(streak.note('r', 'black')).toBe(false);
});

it('counts each run by itself', () => {
  const streak = new BlackStreak();
  expect(['a', 'b', 'a', 'b', 'a'].map((run) => streak.note(run, 'black'))).toEqual([false, false, false, false, true]);
});
