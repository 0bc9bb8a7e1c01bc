import { describe, expect, it } from 'vitest';
import { CLEAN, cutOff, isSuspect, judge, type Marks } from '../../src/batch/marks.ts';

const failure = (code: string, retryable = true) => ({ code, message: `it was ${code}`, retryable });
const marks = (change: Partial<Marks>): Marks => ({ ...CLEAN, ...change });

/** What becomes of a job that meets the same again and again: its marks after each time, at last the error. */
function lifeOf(code: string, retryable = true): readonly unknown[] {
  const told: unknown[] = [];
  for (let now = CLEAN; told.length < 20; ) {
    const verdict = judge(now, failure(code, retryable));
    told.push(verdict.state === 'queued' ? verdict.marks : verdict);
    if (verdict.state !== 'queued') return told;
    now = verdict.marks;
  }
  return told;
}

describe('a job that failed', () => {
  it('fails for good after three deaths that were seen', () => {
    const life = lifeOf('worker_died');
    expect(life.slice(0, 2)).toEqual([marks({ deaths: 1 }), marks({ deaths: 2 })]);
    expect(life[2]).toMatchObject({ state: 'failed', error: { code: 'worker_died' } });
  });

  it('is a suspect from the first death, cut-off or failure on, but not for a black picture', () => {
    expect(isSuspect(CLEAN)).toBe(false);
    expect(isSuspect(marks({ deaths: 1 }))).toBe(true);
    expect(isSuspect(marks({ cutOffs: 1 }))).toBe(true);
    expect(isSuspect(marks({ failures: 1 }))).toBe(true);
    expect(isSuspect(marks({ blacks: 1 }))).toBe(false);
  });

  it('gets three tries where another may help, and one where none can', () => {
    expect(lifeOf('internal')).toHaveLength(3);
    expect(lifeOf('bad_request', false)).toEqual([
      { state: 'failed', error: { code: 'bad_request', message: 'it was bad_request' } },
    ]);
  });

  it('that takes too long gets three tries, and one that is black two', () => {
    expect(lifeOf('black_image', false)[0]).toEqual(marks({ blacks: 1 }));
    expect(lifeOf('black_image', false)).toHaveLength(2);
    expect(lifeOf('timed_out', false)[0]).toEqual(marks({ failures: 1 }));
    expect(lifeOf('timed_out', false)).toHaveLength(3);
  });

  it('for which it was not to blame waits again with the marks that it had', () => {
    const before = marks({ deaths: 2, blacks: 1 });
    for (const code of [
      'worker_stopped',
      'order_too_large',
      'worker_died_loading',
      'paused',
      'stopped',
      'disk_full',
      'not_writable',
      'out_of_memory',
    ])
      expect(judge(before, failure(code))).toEqual({ state: 'queued', marks: before });
  });

  it('fails when memory ran out and nothing smaller is left to try', () => {
    expect(judge(CLEAN, failure('out_of_memory', false))).toMatchObject({ state: 'failed' });
  });

  it('is nobody’s any more once it was cancelled', () => {
    expect(judge(marks({ deaths: 2 }), failure('cancelled', false))).toEqual({ state: 'withdrawn' });
  });
});

it('a job that was cut off with its host waits again, at most ten times', () => {
  expect(cutOff(marks({ cutOffs: 8 }))).toEqual({ state: 'queued', marks: marks({ cutOffs: 9 }) });
  expect(cutOff(marks({ cutOffs: 9 }))).toMatchObject({ state: 'failed', error: { code: 'cut_off' } });
});
