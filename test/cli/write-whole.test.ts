import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-whole-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const PROGRAM = `
  const { writeWhole } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/cli/write-whole.ts'))});
  process.on('SIGXFSZ', () => {});
  await writeWhole(process.argv[1], Array.from({ length: 500 }, () => 'x'.repeat(99)));
`;

it.each([
  ['there is room for a part of it', 16],
  ['there is room for nearly all of it', 48],
])('leaves the old file as it was where %s', (_, kilobytes) => {
  const file = join(folder, 'report.csv');
  writeFileSync(file, 'old');
  const command = `ulimit -f ${kilobytes}; exec "$0" --input-type=module --eval "$1" "$2"`;
  const { status, stderr } = spawnSync('bash', ['-c', command, process.execPath, PROGRAM, file], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, expect.stringContaining('StorageError')]);
  expect(stderr).toContain('cannot write');
  expect(readFileSync(file, 'utf8')).toBe('old');
  expect(readdirSync(folder)).toEqual(['report.csv']);
});
