import { expect, it } from 'vitest';
import { BlackStreak, type Light } from '../../src/batch/black-streak.ts';

const told = (...lights: readonly Light[]) => {
  const streak = new BlackStreak();
  return lights.map((light) => streak.note('r', light));
};
const last = (answers: readonly boolean[]) => [answers.slice(0, -1).some(Boolean), answers.at(-1)];

it('holds a run after three pictures in a row that stayed black', () => {
  expect(last(told('dark', 'dark', 'dark', 'black', 'black', 'black'))).toEqual([false, true]);
  expect(last(told('made', 'dark', 'black', 'dark', 'black', 'dark', 'black'))).toEqual([false, true]);
});

it('does not hold one in which a picture was made in between', () => {
  expect(told('dark', 'black', 'dark', 'black', 'made', 'dark', 'black')).not.toContain(true);
  expect(told('dark', 'dark', 'dark', 'black', 'lightened', 'black', 'black')).not.toContain(true);
});

it('does not hold one for black prompts among good ones, although their second tries come in a row', () => {
  expect(told('made', 'dark', 'made', 'dark', 'made', 'dark', 'made', 'black', 'black', 'black')).not.toContain(true);
});

it('forgets what was made before the pictures went black', () => {
  const streak = new BlackStreak();
  const note = (...lights: readonly Light[]) => lights.map((light) => streak.note('r', light));
  note('dark', 'made', 'black', 'made', 'made');
  expect(last(note('dark', 'dark', 'dark', 'black', 'black', 'black'))).toEqual([false, true]);
});

it('counts each run by itself, and anew after it was held', () => {
  const streak = new BlackStreak();
  const runs = ['a', 'b', 'a', 'b', 'a', 'a'];
  expect(runs.map((run) => streak.note(run, 'black'))).toEqual([false, false, false, false, true, false]);
});
