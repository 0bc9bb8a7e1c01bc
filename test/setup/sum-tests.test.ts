import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const JUNIT = `<testsuites><testsuite name="a">
  <testcase name="1"/><testcase name="2"/><testcase name="3"><failure/></testcase><testcase name="4"><error/></testcase>
  <testcase name="5"><skipped/></testcase>
</testsuite></testsuites>`;
const GREEN = '<testsuites><testsuite name="a"><testcase name="1"/></testsuite></testsuites>';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-sum-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the sum of the suites', () => {
  it('is the last line, and the exit code says whether all passed', () => {
    const check = report('check.txt', 'ok    types\n9 passed, 0 failed\n');
    expect(sum('check', 0, check, 'vitest', 0, report('v.xml', GREEN))).toEqual(['10 passed, 0 failed', 0]);
    expect(sum('check', 0, check, 'vitest', 1, report('v.xml', JUNIT))).toEqual(['11 passed, 2 failed', 1]);
  });

  it('counts a suite that crashed after its tests had passed as a failure', () => {
    expect(sum('vitest', 1, report('v.xml', GREEN))).toEqual(['1 passed, 1 failed', 1]);
  });

  it.each([
    ['left no report', 'missing.xml', undefined],
    ['left half a report', 'half.xml', '<testsuites><testsuite>'],
    ['ran no test', 'none.xml', '<testsuites/>'],
    ['was cut off before its counts', 'cut.txt', 'ok    types\n'],
  ])('counts a suite that %s as a failure', (_, name, content) => {
    expect(sum('suite', 0, content === undefined ? join(folder, name) : report(name, content))).toEqual([
      '0 passed, 1 failed',
      1,
    ]);
  });
});

function report(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function sum(...suites: readonly (string | number)[]): [string | undefined, number | null] {
  const script = join(ROOT, 'scripts/sum_tests.py');
  const { stdout, status } = spawnSync(join(ROOT, '.venv/bin/python'), [script, ...suites.map(String)], {
    encoding: 'utf8',
  });
  return [stdout.trimEnd().split('\n').at(-1), status];
}
