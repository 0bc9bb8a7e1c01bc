import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type HostFacts, hostChecks } from '../../src/telemetry/host.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-host-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

async function check(name: string, facts: Partial<HostFacts> = {}) {
  const found = await hostChecks({
    nodeVersion: '24.11.0',
    availableMemory: 16 * 1024 ** 3,
    folders: { data: folder },
    reserve: 0,
    ...facts,
  });
  return found.find((one) => one.name === name);
}

describe('the host', () => {
  it('needs Node 24', async () => {
    expect(await check('node')).toMatchObject({ status: 'ok' });
    expect(await check('node', { nodeVersion: '25.0.0' })).toMatchObject({ status: 'ok' });
    expect(await check('node', { nodeVersion: '22.20.0' })).toMatchObject({
      status: 'fail',
      mend: expect.stringContaining('quickstart'),
    });
  });

  it('is warned of when memory is short', async () => {
    expect(await check('memory')).toMatchObject({ status: 'ok', detail: '16.0 GiB available' });
    expect(await check('memory', { availableMemory: 2 * 1024 ** 3 })).toMatchObject({ status: 'warn' });
  });

  it('has its disks judged where folders will be made, without making them', async () => {
    const later = join(folder, 'not', 'yet');
    expect(await check('disk (data)', { folders: { data: later } })).toMatchObject({
      detail: expect.stringContaining(`free at ${later}`),
    });
    expect(() => statfsSync(later)).toThrow('ENOENT');
  });

  it('fails when the reserve is all that is left, and warns when little more is', async () => {
    const { bavail, bsize } = statfsSync(folder);
    const free = bavail * bsize;
    expect(await check('disk (data)', { reserve: free + 1024 ** 3 })).toMatchObject({
      status: 'fail',
      mend: expect.any(String),
    });
    expect(await check('disk (data)', { reserve: free - 1024 ** 3 })).toMatchObject({ status: 'warn' });
  });

  it('fails when a folder cannot be used', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const data of [file, join(file, 'below'), '/proc/kilnwatt']) {
      expect(await check('disk (data)', { folders: { data } })).toMatchObject({
        status: 'fail',
        detail: expect.stringContaining(data),
      });
    }
  });
});
