import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Ran } from '../../src/process/program.ts';
import { isWsl2, wslChecks } from '../../src/telemetry/wsl.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kilnwatt-wsl-'));
  put('proc/sys/kernel/osrelease', '6.6.87.2-microsoft-standard-WSL2\n');
  put(
    'proc/mounts',
    '/dev/sdd / ext4 rw 0 0\nC:\\134 /mnt/c 9p rw,noatime 0 0\nD:\\134 /mnt/my\\040disk drvfs rw 0 0\n',
  );
});

afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** As powercfg answers on a German Windows. */
function powercfg(mains: string): Ran {
  const stdout = [
    '    GUID der Energieeinstellung: 29f6c1db-86da-48c5-9fdb-f2b67b1f44da  (Deaktivierung nach)',
    '      Minimal mögliche Einstellung: 0x00000000',
    '      Maximal mögliche Einstellung: 0xffffffff',
    '      Inkrement möglicher Einstellungen: 0x00000001',
    `    Index der aktuellen Wechselstromeinstellung: ${mains}`,
    '    Index der aktuellen Gleichstromeinstellung: 0x00000384',
  ].join('\r\n');
  return { kind: 'exited', code: 0, stdout, stderr: '' };
}

interface Told {
  readonly sleep?: Ran;
  readonly memory?: number;
  readonly dataDir?: string;
  readonly modelsDir?: string;
}

async function checks({
  sleep = powercfg('0x00000000'),
  memory = 32,
  dataDir = '/home/ada/data',
  modelsDir = '/home/ada/models',
}: Told = {}) {
  const found = await wslChecks({ root, run: async () => sleep, memory: memory * 1024 ** 3, dataDir, modelsDir });
  return new Map(found.map((check) => [check.name, check]));
}

describe('what breaks nights under WSL', () => {
  it('is not asked for on a Linux of its own', async () => {
    put('proc/sys/kernel/osrelease', '6.1.0-18-amd64\n');
    expect((await checks()).size).toBe(0);
  });

  it('is WSL 1 itself', async () => {
    put('proc/sys/kernel/osrelease', '4.4.0-19041-Microsoft\n');
    expect([...(await checks()).values()]).toEqual([
      expect.objectContaining({ status: 'fail', mend: expect.stringContaining('--set-version') }),
    ]);
  });

  it('is told apart where the memory of a card is spilled: under WSL 2 alone', async () => {
    expect(await isWsl2(root)).toBe(true);
    put('proc/sys/kernel/osrelease', '4.4.0-19041-Microsoft\n');
    expect(await isWsl2(root)).toBe(false);
    put('proc/sys/kernel/osrelease', '6.1.0-18-amd64\n');
    expect(await isWsl2(root)).toBe(false);
    expect(await isWsl2(join(root, 'nowhere'))).toBe(false);
  });

  it('is models on a Windows disk', async () => {
    expect((await checks({ modelsDir: '/mnt/c/models' })).get('wsl models')).toMatchObject({ status: 'warn' });
    expect((await checks({ modelsDir: '/mnt/my disk/models' })).get('wsl models')).toMatchObject({ status: 'warn' });
    expect((await checks({ modelsDir: '/mnt/cache' })).get('wsl disk')).toMatchObject({ status: 'ok' });
  });

  it('is, worse, data on a Windows disk', async () => {
    expect((await checks({ dataDir: '/mnt/c/kilnwatt' })).get('wsl data')).toMatchObject({ status: 'fail' });
  });

  it('is little memory, with the setting that says so', async () => {
    expect((await checks({ memory: 7 })).get('wsl memory')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('half of the machine'),
    });
    put('mnt/c/Users/me/.wslconfig', '[wsl2]\r\nmemory=8GB # enough?\r\n');
    expect((await checks({ memory: 7.8 })).get('wsl memory')).toMatchObject({
      detail: expect.stringContaining('memory=8GB'),
    });
    expect((await checks({ memory: 24 })).get('wsl memory')).toMatchObject({ status: 'ok' });
  });

  it('is the idle shutdown, unless both clocks are off', async () => {
    expect((await checks()).get('wsl idle')).toMatchObject({
      status: 'warn',
      mend: expect.stringContaining('instanceIdleTimeout=-1'),
    });
    put('mnt/c/Users/me/.wslconfig', '[wsl2]\nvmIdleTimeout=-1\n');
    expect((await checks()).get('wsl idle')).toMatchObject({ status: 'warn' });
    put('mnt/c/Users/me/.wslconfig', '[general]\ninstanceIdleTimeout=-1\n[wsl2]\nvmIdleTimeout = -1\n');
    expect((await checks()).get('wsl idle')).toMatchObject({ status: 'ok' });
    put('mnt/c/Users/me/.wslconfig', '[general]\ninstanceIdleTimeout=-1\n#[wsl2]\n#vmIdleTimeout=-1\n');
    expect((await checks()).get('wsl idle')).toMatchObject({ status: 'warn' });
  });

  it('is a Windows that goes to sleep, in whatever language it says so', async () => {
    expect((await checks({ sleep: powercfg('0x00000708') })).get('wsl sleep')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('after 30 minutes'),
      mend: expect.stringContaining('standby-timeout-ac 0'),
    });
    expect((await checks()).get('wsl sleep')).toMatchObject({ status: 'ok' });
  });

  it.each<Ran>([
    { kind: 'absent' },
    { kind: 'hung', seconds: 5 },
    { kind: 'exited', code: 1, stdout: '', stderr: 'Zugriff verweigert' },
  ])('may be a sleep that cannot be read (%j)', async (sleep) => {
    expect((await checks({ sleep })).get('wsl sleep')).toMatchObject({
      status: 'warn',
      detail: expect.stringContaining('could not be read'),
    });
  });
});
