import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeRecord } from './record.ts';

it('a record keeps each result under its name, with day, machine in words and commit, and names no machine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'record-'));
  const path = join(folder, 'record.json');
  writeRecord(path, 'seed 1', { missing: 1 });
  writeRecord(path, 'seed 2', { missing: 0 });
  writeRecord(path, 'seed 1', { missing: 0 });
  const text = readFileSync(path, 'utf8');
  rmSync(folder, { recursive: true });
  const entry = {
    date: expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
    machine: expect.stringMatching(/^\d+ cores, (no GPU|an NVIDIA card)$/),
    commit: expect.stringMatching(/^[\da-f]{7,}(, changed)?$/),
    missing: 0,
  };
  expect(JSON.parse(text)).toEqual({ 'seed 1': entry, 'seed 2': entry });
  expect(text).not.toContain(hostname());
});
