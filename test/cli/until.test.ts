import { describe, expect, it } from 'vitest';
import { localTimeIn } from '../../src/batch/hours.ts';
import { parseFor, parseSpan, parseUntil } from '../../src/cli/until.ts';

const berlin = localTimeIn('Europe/Berlin');

describe('--for', () => {
  it.each([
    ['2h', 120],
    ['90m', 90],
    ['1h30m', 90],
    [' 1 h 30 min ', 90],
    ['168h', 10_080],
  ])('takes %s', (text, minutes) => {
    expect(parseFor(text)).toBe(minutes * 60_000);
  });

  it.each(['', '2', 'h', '2d', '1.5h', '-1h', '0m', '30m1h'])(
    'refuses "%s", and says how a span is written',
    (text) => {
      expect(() => parseFor(text)).toThrow(`--for: needs a time span as 2h, 90m or 1h30m, not "${text}"`);
      expect(() => parseFor(text)).toThrow(expect.objectContaining({ code: 'bad_flag', place: '--for' }));
    },
  );

  it('refuses more than a week', () => {
    expect(() => parseFor('169h')).toThrow('--for: 169h is more than a week; without --for it lasts until "resume"');
  });
});

describe('--for of a look at the meters', () => {
  it.each([
    ['30s', 30],
    ['5m', 300],
    ['1h 30m 5s', 5405],
  ])('takes %s', (text, seconds) => {
    expect(parseSpan(text)).toBe(seconds * 1000);
  });

  it.each(['', '30', '0s', '1.5m', '-1s', '5s5m'])('refuses "%s", and says how a span is written', (text) => {
    expect(() => parseSpan(text)).toThrow(`--for: needs a time span as 30s, 5m or 1h30m, not "${text}"`);
  });

  it('refuses more than a week', () => {
    expect(() => parseSpan('200h')).toThrow('--for: 200h is more than a week; without --for it lasts until Ctrl-C');
  });
});

describe('--until', () => {
  it.each([
    ['07:00', '2026-01-10T20:30:00Z', '2026-01-11T06:00:00Z'],
    ['23:15', '2026-01-10T20:30:00Z', '2026-01-10T22:15:00Z'],
    ['7:00', '2026-03-28T21:00:00Z', '2026-03-29T05:00:00Z'],
    ['24:00', '2026-01-10T20:30:00Z', '2026-01-10T23:00:00Z'],
  ])('%s, said at %s, is %s', (text, now, then) => {
    expect(parseUntil(text, Date.parse(now), berlin)).toBe(Date.parse(then));
  });

  it.each(['', '7', '07:60', '25:00', 'morning'])('refuses "%s", and says how a time is written', (text) => {
    expect(() => parseUntil(text, 0, berlin)).toThrow(`--until: needs a time of day as 07:00, not "${text}"`);
    expect(() => parseUntil(text, 0, berlin)).toThrow(expect.objectContaining({ code: 'bad_flag', place: '--until' }));
  });
});
