import { readdirSync, readFileSync } from 'node:fs';
import type { Millis } from '../../src/units.ts';

/** The Python workers of a kilnwatt process: by device, the pid. */
export function workersOf(pid: number): ReadonlyMap<string, number> {
  const found = childrenOf(pid).flatMap((child) => {
    const device = DEVICE.exec(commandOf(child))?.[1];
    return device === undefined ? [] : [[device, child] as const];
  });
  return new Map(found);
}

/** Words of a command are apart by a zero; a worker's launch id is `<launch>-<device>-<number>`. */
const DEVICE = /kilnwatt_worker\0.*\0--launch\0[^\0]+-([a-z]+(?::\d+)?)-\d+\0/s;

/** False for one that has ended and was not waited for yet, too. */
export function isAlive(pid: number): boolean {
  const state = /^State:\s+(\S)/m.exec(statusOf(pid))?.[1];
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Whether somebody has begun to take a stopped process down: it cannot heed SIGTERM before it goes on. */
export function isCondemned(pid: number): boolean {
  if (!isAlive(pid)) return true;
  const pending = BigInt(`0x${/^ShdPnd:\s+(\S+)/m.exec(statusOf(pid))?.[1] ?? '0'}`);
  return (pending & SIGTERM_BIT) !== 0n;
}

/** How long its main thread could have run so far and was given no processor, as the kernel counts it; 0 once it is gone. */
export function waitedForProcessor(pid: number): Millis {
  const [text] = orNothing(() => [readFileSync(`/proc/${pid}/schedstat`, 'utf8')]);
  return Number(text?.split(' ')[1] ?? 0) / 1_000_000;
}

const SIGTERM_BIT = 1n << 14n;

function childrenOf(pid: number): readonly number[] {
  return orNothing(() =>
    readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    ),
  );
}

function commandOf(pid: number): string {
  return orNothing(() => [readFileSync(`/proc/${pid}/cmdline`, 'utf8')])[0] ?? '';
}

function statusOf(pid: number): string {
  return orNothing(() => [readFileSync(`/proc/${pid}/status`, 'utf8')])[0] ?? '';
}

/** A process may be gone between two looks at it. */
function orNothing<T>(look: () => readonly T[]): readonly T[] {
  try {
    return look();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH') return [];
    throw error;
  }
}
