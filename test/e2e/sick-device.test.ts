import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DiskImages } from '../../src/images/disk.ts';
import type { Device } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import { LocalProvider } from '../../src/provider/local.ts';
import { Workshop } from '../pipeline/workshop.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

const DEVICES = ['cpu', 'cpu:1'].map((id): Device => ({ id, kind: 'cpu', uuid: null, name: id }));

let folder: string;
let shop: Workshop;
let provider: LocalProvider;
let executioner: NodeJS.Timeout;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sick-'));
});
afterEach(async () => {
  clearInterval(executioner);
  await shop.working.stop();
  await provider.close();
  rmSync(folder, { recursive: true });
});

it('a device whose every worker dies is left alone, and the other one makes all pictures', async () => {
  provider = new LocalProvider({
    devices: DEVICES,
    python: PYTHON,
    workerDir: WORKER_DIR,
    engine: 'fake',
    launch: 'sick',
    clock: systemClock,
    env: { KW_FAKE: JSON.stringify({ step_seconds: 0.05 }) },
    breaker: { deaths: 2, probeAfter: 600_000, probeMost: 600_000 },
    log: () => {},
  });
  shop = new Workshop({
    folder,
    clock: systemClock,
    disk: new DiskImages({ reserveBytes: 0 }),
    provider: () => provider,
  });
  const planned = await shop.plan(Array.from({ length: 60 }, (_, at) => `prompt ${at}`));
  await shop.submit(planned);
  executioner = setInterval(killWorkersOfSecondDevice, 20);
  shop.work();
  let rows = await shop.store.jobsOf(planned.run.id);
  while (rows.some((row) => row.state !== 'done')) {
    expect(rows.map((row) => row.error)).toEqual(rows.map(() => null));
    await new Promise((next) => setTimeout(next, 50));
    rows = await shop.store.jobsOf(planned.run.id);
  }
  expect(provider.quarantine('cpu')).toBeNull();
  expect(new Set(rows.map((row) => row.receipt?.device))).toEqual(new Set(['cpu']));
  expect(shop.troubles.filter((line) => /^cpu:1 is (in quarantine until|left alone for)/.test(line))).toHaveLength(1);
  expect(shop.fatal).toEqual([]);
}, 60_000);

function killWorkersOfSecondDevice(): void {
  for (const task of readdirSync('/proc/self/task')) {
    const children = readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean);
    for (const child of children) if (cmdlineOf(child).includes('sick-cpu:1-')) process.kill(Number(child), 'SIGKILL');
  }
}

function cmdlineOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
