import { describe, expect, it } from 'vitest';
import { momentOf, pausedNote } from '../../src/cli/pause.ts';

const noon = new Date(2026, 0, 10, 12, 0).getTime();
const DAY = 86_400_000;

describe('the end of a pause', () => {
  it('is a time of day, with the day where that is not the one on which it is said', () => {
    expect(momentOf(noon, noon - 3_600_000)).toBe('12:00');
    expect(momentOf(noon, noon - DAY)).toBe('Sat 10 Jan, 12:00');
    expect(momentOf(noon, noon + DAY)).toBe('Sat 10 Jan, 12:00');
  });

  it('is in the sentence that the user reads', () => {
    expect(pausedNote({ until: noon, now: false }, noon - DAY)).toMatch(/^Paused until Sat 10 Jan, 12:00, or until /);
    expect(pausedNote({ until: null, now: true }, noon)).toBe(
      'Paused until `kilnwatt resume` goes on. The running batch is given up, then the cards are free.',
    );
  });
});
