import { expect, it } from 'vitest';
import { terminalLines } from '../../src/cli/report-terminal.ts';
import { sumRow } from '../cost/ledger-samples.ts';
import { madeOf, NOVEMBER } from '../cost/report-samples.ts';

it('A report fits a terminal of 60 columns: names give way, figures and dates do not', () => {
  const day = (at: number) => NOVEMBER.from + at * 86_400_000;
  const made = Array.from({ length: 15 }, (_, at) => {
    const model = 'a-rather-long-name-of-a-model';
    return sumRow('active', { slot: day(at), entries: 1000 + at, model, costMethod: 'assumed' });
  });
  const report = madeOf({
    sums: [...made, sumRow('overhead', { slot: day(0), cause: 'load' })],
    by: { kind: 'model' },
  });
  const lines = terminalLines(report, { width: 60, color: false, utf8: true, notes: ['a word '.repeat(30).trim()] });
  expect(lines.filter((line) => line.length > 60)).toEqual([]);
  expect(lines.filter((line) => /^stab.* 2025-07-09$/.test(line))).toHaveLength(1);
});
