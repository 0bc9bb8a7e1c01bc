import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const PROGRAM = fileURLToPath(new URL('./programs/settle.ts', import.meta.url));

describe('a file that several processes use', () => {
  let path: string;
  let children: ChildProcess[];

  beforeEach(() => {
    path = join(mkdtempSync(join(tmpdir(), 'kilnwatt-store-')), 'store.db');
    children = [];
  });

  afterEach(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(join(path, '..'), { recursive: true });
  });

  const start = (run: string, batches: number, size: number) => {
    const child = spawn(process.execPath, [PROGRAM, path, run, String(batches), String(size)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return { child, exit: once(child, 'exit'), lines: createInterface({ input: child.stdout }) };
  };

  it('takes every write of processes that make it and write to it at the same time', async () => {
    const exits = await Promise.all(['r1', 'r2', 'r3'].map((run) => start(run, 20, 5).exit));
    expect(exits).toEqual([
      [0, null],
      [0, null],
      [0, null],
    ]);
    const store = await openSqliteStore({ path, clock: Date });
    const seqs: number[] = [];
    for (const run of ['r1', 'r2', 'r3']) {
      const rows = await store.jobsOf(run);
      expect(rows.every((row) => row.state === 'done' && row.receipt !== null)).toBe(true);
      expect(await store.totals(run, 0)).toMatchObject({ images: 100, batches: 20 });
      seqs.push(...rows.map((row) => row.seq));
    }
    expect(new Set(seqs).size).toBe(300);
    await store.close();
  });

  it('holds all of a batch or nothing of it when the process is killed while it settles', async () => {
    for (const [round, killAt] of [3, 8, 17].entries()) {
      const run = `r${round}`;
      const { child, exit, lines } = start(run, 1000, 6);
      let acknowledged = -1;
      for await (const line of lines) {
        const [verb, number] = line.split(' ');
        if (verb === 'settled') acknowledged = Number(number);
        if (verb === 'settling' && Number(number) === killAt) child.kill('SIGKILL');
      }
      expect(await exit).toEqual([null, 'SIGKILL']);

      const store = await openSqliteStore({ path, clock: Date });
      const rows = await store.jobsOf(run);
      const done = rows.filter((row) => row.state === 'done');
      expect(done.length % 6).toBe(0);
      expect(done.length).toBeGreaterThanOrEqual((acknowledged + 1) * 6);
      expect(done.length).toBeLessThan(rows.length);
      expect(rows.every((row) => (row.state === 'done') === (row.receipt !== null))).toBe(true);
      expect((await store.totals(run, 0)).images).toBe(done.length);
      expect(await store.check()).toMatchObject([{ status: 'ok' }]);
      await store.close();
    }
  });
});
