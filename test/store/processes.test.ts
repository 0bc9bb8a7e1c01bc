import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { madeIn, runWrite } from './samples.ts';

const PROGRAM = fileURLToPath(new URL('./programs/settle.ts', import.meta.url));
const FOLLOW = fileURLToPath(new URL('./programs/follow.ts', import.meta.url));
const EVER = { from: 0, to: Number.POSITIVE_INFINITY };

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
      const [own] = (await store.sums(EVER, ['run'])).filter((sum) => sum.run === run);
      expect(own?.entries).toBe(done.length);
      const burnt = (await store.sums(EVER, ['gpu'])).filter((sum) => sum.gpu === `card of ${run}`);
      expect(burnt).toMatchObject([{ kind: 'idle', entries: done.length / 6 }]);
      const chain = (await store.chains()).find(({ gpu }) => gpu === `card of ${run}`);
      expect(chain).toMatchObject({ booked: { number: done.length / 6, at: done.length / 6 }, open: [] });
      expect(await store.check()).toMatchObject([{ status: 'ok' }]);
      await store.close();
    }
  });

  it('is read page by page while it is written: every row once, and sums that have all that was read before', async () => {
    const store = await openSqliteStore({ path, clock: Date });
    const reader = spawn(process.execPath, [FOLLOW, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    children.push(reader);
    const exit = once(reader, 'exit');
    const lines: string[] = [];
    const read = new Promise<void>((begun) => {
      createInterface({ input: reader.stdout }).on('line', (line) => {
        lines.push(line);
        begun();
      });
    });
    await store.writeRun(runWrite('r1', 800));
    const settle = (from: number, to: number) =>
      Promise.all(
        range(from, to).map((batch) => store.settle(madeIn(`b-${batch}`, 'r1', range(batch * 4, batch * 4 + 4)))),
      );
    await settle(0, 20);
    await read;
    await settle(20, 200);
    reader.stdin.end();
    expect(await exit).toEqual([0, null]);
    expect(lines.at(-1)).toBe('saw 800');
    await store.close();
  });
});

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}
