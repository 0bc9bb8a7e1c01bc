import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StorageError } from '../../src/errors.ts';
import { type Lock, Presence, tryLock } from '../../src/process/lock.ts';

const HOLDER = resolve(import.meta.dirname, 'hold-lock.ts');

let folder = '';
const children: ChildProcess[] = [];
const locks: Lock[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
});

afterEach(async () => {
  await Promise.all(children.splice(0).map(killed));
  for (const lock of locks.splice(0)) lock.release();
  rmSync(folder, { recursive: true, force: true });
});

describe('a lock', () => {
  it('is had by one at a time, and by the next after its release', () => {
    const path = join(folder, 'deep', 'owner.lock');
    const lock = take(path);
    expect(tryLock(path)).toBeUndefined();
    lock.release();
    lock.release();
    take(path);
    expect(tryLock(path)).toBeUndefined();
  });

  it('is refused to another process while this one has it', async () => {
    const path = join(folder, 'owner.lock');
    const lock = take(path);
    expect((await holder('lock', path)).said).toBe('refused');
    // Asking for it again in this process must not have dropped it either.
    expect(tryLock(path)).toBeUndefined();
    expect((await holder('lock', path)).said).toBe('refused');
    lock.release();
    expect((await holder('lock', path)).said).toBe('held');
  });

  it('is free at once when its process is killed', async () => {
    const path = join(folder, 'owner.lock');
    const { child, said } = await holder('lock', path);
    expect(said).toBe('held');
    expect(tryLock(path)).toBeUndefined();
    await killed(child);
    take(path);
  });

  it('stays held when nobody keeps the handle and memory is collected', async () => {
    const path = join(folder, 'owner.lock');
    const { child, said } = await holder('lock', path, { collect: true });
    expect(said).toBe('held');
    expect(tryLock(path)).toBeUndefined();
    await killed(child);
  });

  it('cannot be had where there is no folder to put it, and the error says what to do', () => {
    writeFileSync(join(folder, 'file'), '');
    expect(() => tryLock(join(folder, 'file', 'owner.lock'))).toThrow(StorageError);
    expect(() => tryLock(join(folder, 'file', 'owner.lock'))).toThrow(/owner\.lock: cannot be locked .*local disk/);
  });
});

describe('presence', () => {
  it('tells the living from the dead and from those who never were', async () => {
    const here = new Presence(folder, 'here');
    const { child } = await holder('presence', folder, { launch: 'there' });
    expect(here.isAlive('there')).toBe(true);
    expect(here.isAlive('here')).toBe(false);
    here.claim();
    here.claim();
    expect(here.isAlive('here')).toBe(true);
    expect(new Presence(folder, 'other').isAlive('here')).toBe(true);
    expect(here.isAlive('nobody')).toBe(false);
    await killed(child);
    expect(here.isAlive('there')).toBe(false);
    here.release();
  });

  it('removes the file of a killed process when it finds it, and its own when it leaves', async () => {
    const { child } = await holder('presence', folder, { launch: 'killed' });
    await killed(child);
    expect(readdirSync(folder)).toEqual(['killed.lock']);
    const here = new Presence(folder, 'here');
    here.claim();
    expect(readdirSync(folder)).toEqual(['here.lock']);
    here.release();
    here.release();
    expect(readdirSync(folder)).toEqual([]);
    expect(new Presence(folder, 'other').isAlive('here')).toBe(false);
  });
});

function take(path: string): Lock {
  const lock = tryLock(path);
  if (lock === undefined) throw new Error(`${path} is held`);
  locks.push(lock);
  return lock;
}

/** A process of its own that holds a lock, if it gets it, until it is killed. */
async function holder(
  kind: 'lock' | 'presence',
  path: string,
  { launch = '', collect = false } = {},
): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [...(collect ? ['--expose-gc'] : []), HOLDER, kind, path, launch], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  children.push(child);
  const [said] = await once(child.stdout, 'data');
  return { child, said: String(said).trim() };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
