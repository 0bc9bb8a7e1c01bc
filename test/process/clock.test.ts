import { expect, it } from 'vitest';
import { pause, settlesWithin, systemClock } from '../../src/process/clock.ts';
import { ManualClock } from '../support/manual-clock.ts';

it('a pause ends when its time has come, and at once for no time', async () => {
  const clock = new ManualClock();
  let over = false;
  const paused = pause(clock, 100).then(() => {
    over = true;
  });
  clock.advance(99);
  await pause(clock, 0);
  expect(over).toBe(false);
  clock.advance(1);
  await paused;
});

it('an abort ends a pause with its reason and leaves no timer', async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const paused = pause(clock, 100, controller.signal);
  controller.abort(new Error('enough'));
  await expect(paused).rejects.toThrow('enough');
  await expect(pause(clock, 100, controller.signal)).rejects.toThrow('enough');
  expect(clock.waiting).toBe(0);
});

it('tells whether a promise settles within its limit, and leaves no timer', async () => {
  const clock = new ManualClock();
  await expect(settlesWithin(clock, 100, Promise.resolve())).resolves.toBe(true);
  await expect(settlesWithin(clock, 100, Promise.reject(new Error('no')))).rejects.toThrow('no');
  const late = settlesWithin(clock, 100, new Promise(() => {}));
  clock.advance(100);
  await expect(late).resolves.toBe(false);
  expect(clock.waiting).toBe(0);
});

it('the clock of the machine goes forward and calls back, unless it was told not to', async () => {
  const [now, monotonic] = [systemClock.now(), systemClock.monotonic()];
  systemClock.after(0, () => expect.unreachable('it was cancelled'))();
  const alive = setInterval(() => {}, 1_000);
  await new Promise<void>((resolve) => systemClock.after(5, resolve));
  clearInterval(alive);
  expect(systemClock.now()).toBeGreaterThanOrEqual(now);
  expect(systemClock.monotonic()).toBeGreaterThan(monotonic);
});
