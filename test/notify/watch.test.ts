import { describe, expect, it } from 'vitest';
import { Watch } from '../../src/notify/watch.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MINUTE = 60_000;
const error = { code: 'worker_died', message: 'The worker died.\nIts last lines:\n  segfault' };

function watched(failedBefore = false) {
  const clock = new ManualClock();
  return { clock, watch: new Watch({ clock, stalledAfter: 30 * MINUTE, failedBefore }) };
}

describe('a failure', () => {
  it('is due once a run, on one line', () => {
    const { watch } = watched();
    expect(watch.settled(null)).toBeNull();
    expect(watch.settled(error)).toEqual({
      kind: 'first_failure',
      why: 'first failure: worker_died: The worker died. Its last lines: segfault',
    });
    expect(watch.settled(error)).toBeNull();
  });

  it('is not due where another process has told of one', () => {
    expect(watched(true).watch.settled(error)).toBeNull();
  });

  it('with a long message is cut', () => {
    const due = watched().watch.settled({ code: 'x', message: 'y'.repeat(5_000) });
    expect(due?.why?.length).toBeLessThan(330);
    expect(due?.why).toMatch(/y…$/);
  });
});

describe('a stall', () => {
  it('is due after so long without a settled job, and once', () => {
    const { clock, watch } = watched();
    clock.advance(29 * MINUTE);
    expect(watch.look(5)).toBeNull();
    clock.advance(2 * MINUTE);
    expect(watch.look(5)).toEqual({ kind: 'stalled', why: 'no picture for 31 min' });
    clock.advance(90 * MINUTE);
    expect(watch.look(5)).toBeNull();
  });

  it('is due again for another stall', () => {
    const { clock, watch } = watched();
    clock.advance(31 * MINUTE);
    watch.look(5);
    watch.settled(null);
    clock.advance(29 * MINUTE);
    expect(watch.look(4)).toBeNull();
    clock.advance(MINUTE);
    expect(watch.look(4)?.kind).toBe('stalled');
  });

  it('is none while nothing is left, nor right after there is something again', () => {
    const { clock, watch } = watched();
    clock.advance(60 * MINUTE);
    expect(watch.look(0)).toBeNull();
    clock.advance(10 * MINUTE);
    expect(watch.look(3)).toBeNull();
  });

  it('is none while the run waits for others that go on', () => {
    const { clock, watch } = watched();
    for (let n = 0; n < 10; n += 1) {
      clock.advance(20 * MINUTE);
      watch.moved();
      expect(watch.look(5)).toBeNull();
    }
  });

  it('is none during a pause, of whatever kind, and counts from its end', () => {
    for (const why of ['disk full', null]) {
      const { clock, watch } = watched();
      watch.paused('hours', why);
      clock.advance(600 * MINUTE);
      expect(watch.look(5)).toBeNull();
      watch.resumed('hours');
      clock.advance(29 * MINUTE);
      expect(watch.look(5)).toBeNull();
      clock.advance(MINUTE);
      expect(watch.look(5)?.why).toBe('no picture for 30 min');
    }
  });
});

describe('a pause', () => {
  it('is due once, with its reason, and again for another reason or the next time', () => {
    const { watch } = watched();
    expect(watch.paused('held', 'three black pictures in a row')).toEqual({
      kind: 'paused',
      why: 'three black pictures in a row',
    });
    expect(watch.paused('held', 'three black pictures in a row')).toBeNull();
    expect(watch.paused('held', 'the disk is full')?.why).toBe('the disk is full');
    watch.resumed('held');
    expect(watch.paused('held', 'the disk is full')?.why).toBe('the disk is full');
  });

  it('of which nobody is to be told is not due', () => {
    const { watch } = watched();
    expect(watch.paused('hours', null)).toBeNull();
    expect(watch.paused('user', 'asked for')?.kind).toBe('paused');
  });

  it('that ends leaves the others: a run that is held does not stall because the user says resume', () => {
    const { clock, watch } = watched();
    watch.paused('held', 'three black pictures in a row');
    expect(watch.paused('user', 'asked for')?.kind).toBe('paused');
    watch.paused('hours', null);
    expect(watch.paused('user', 'asked for')).toBeNull();
    watch.resumed('user');
    watch.resumed('hours');
    clock.advance(60 * MINUTE);
    expect(watch.look(5)).toBeNull();
    expect(watch.paused('held', 'three black pictures in a row')).toBeNull();
  });

  it('that never was does not end a stall', () => {
    const { clock, watch } = watched();
    clock.advance(29 * MINUTE);
    watch.resumed('hours');
    clock.advance(MINUTE);
    expect(watch.look(5)?.kind).toBe('stalled');
  });
});

it('the end is due once, and nothing comes after it', () => {
  const { clock, watch } = watched();
  expect(watch.finished()).toEqual({ kind: 'done', why: null });
  expect(watch.finished()).toBeNull();
  clock.advance(60 * MINUTE);
  expect([watch.look(5), watch.paused('user', 'x'), watch.settled(error)]).toEqual([null, null, null]);
});
