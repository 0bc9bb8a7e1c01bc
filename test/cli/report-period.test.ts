import { describe, expect, it } from 'vitest';
import { periodOf, timeIn } from '../../src/cli/report-period.ts';
import { calendarOf } from '../../src/cost/local-days.ts';

const BERLIN = calendarOf('Europe/Berlin');
const at = (text: string) => Date.parse(text);

/** A time and what is told of it. */
function read(text: string): readonly [string, readonly string[]] {
  const notes: string[] = [];
  return [new Date(timeIn(text, '--at', BERLIN, (note) => notes.push(note))).toISOString(), notes];
}

describe('a time of a report, of a cost and of an imported line', () => {
  it('is by the clock of the tariff, a day its beginning, and with an offset the same everywhere', () => {
    expect(read('2026-06-01')).toEqual(['2026-05-31T22:00:00.000Z', []]);
    expect(read('2026-06-01T14:59:30')).toEqual(['2026-06-01T12:59:30.000Z', []]);
    expect(read('2026-06-01 14:59')).toEqual(['2026-06-01T12:59:00.000Z', []]);
    expect(read('2026-06-01T14:59:30.125Z')).toEqual(['2026-06-01T14:59:30.125Z', []]);
    expect(read('2026-06-01T14:59-03:30')).toEqual(['2026-06-01T18:29:00.000Z', []]);
  });

  it('that comes twice or never is taken with a note: nobody is to wonder about the hour', () => {
    expect(read('2026-10-25T02:07')).toEqual([
      '2026-10-25T00:07:00.000Z',
      [
        '! --at: 2026-10-25T02:07 comes twice on the clock of Europe/Berlin; 2026-10-25T02:07+02:00 is taken; the other ' +
          'is 2026-10-25T02:07+01:00',
      ],
    ]);
    expect(read('2026-03-29T02:30')).toEqual([
      '2026-03-29T01:00:00.000Z',
      [expect.stringContaining('is skipped on the clock of Europe/Berlin; 2026-03-29T03:00+02:00 is taken')],
    ]);
  });
});

it('a period may begin on a day before there were time zones, when midnight was on no quarter of an hour', () => {
  const span = periodOf({ from: '0001-01-01' }, at('2026-11-30T12:00Z'), BERLIN, () => {});
  expect(new Date(span.from).toISOString()).toMatch(/^0000-12-31T23:(00|15|30|45):00/);
});

it('a period that begins in an hour that comes twice says which one', () => {
  const notes: string[] = [];
  const flags = { from: '2026-10-25T02:15', to: '2026-10-25' };
  const span = periodOf(flags, at('2026-11-30T12:00Z'), BERLIN, (note) => notes.push(note));
  expect(span).toEqual({ from: at('2026-10-25T00:15Z'), to: at('2026-10-25T23:00Z') });
  expect(notes).toEqual([expect.stringMatching(/^! --from: 2026-10-25T02:15 comes twice/)]);
});
