import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type Child, startChild } from '../../src/process/child.ts';
import { systemClock } from '../../src/process/clock.ts';

const parents: Child[] = [];

afterEach(async () => {
  await Promise.all(parents.splice(0).map((parent) => parent.stop()));
});

it.each([
  ['is idle', 'no phase', 'without', 'idle'],
  ['is in a call that released the interpreter', 'denoise', 'without', 'hangs'],
  ['is in a call that holds the interpreter', 'denoise', 'with', 'hangs'],
  ['holds the interpreter for an import', 'import', 'with', 'hangs'],
])('a worker that %s is gone within a second of the SIGKILL of its parent', async (_what, phase, lock, sign) => {
  const heard: string[] = [];
  const parent = startChild({
    command: process.execPath,
    args: [join(import.meta.dirname, 'parent-process.ts'), phase, lock],
    clock: systemClock,
    onLog: (line) => heard.push(line),
  });
  parents.push(parent);
  await expect.poll(() => heard, { timeout: 20_000 }).toContain(sign);
  const worker = Number(/pid (\d+)/.exec(heard.join('\n'))?.[1]);
  expect(isAlive(worker)).toBe(true);
  process.kill(parent.pid ?? 0, 'SIGKILL');
  const killed = systemClock.monotonic();
  await expect.poll(() => isAlive(worker), { timeout: 5_000, interval: 10 }).toBe(false);
  expect(systemClock.monotonic() - killed).toBeLessThan(1_000);
});

/** A zombie, which waits for somebody to ask for its exit, is dead. */
function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
