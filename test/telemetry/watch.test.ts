import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Reading } from '../../src/ports.ts';
import { programRunner } from '../../src/process/program.ts';
import { systemTelemetry } from '../../src/telemetry/system.ts';
import { telemetryWatchContract } from '../contracts/telemetry-watch.ts';
import { hostEnvironment } from './fake-nvidia.ts';
import { gaugeOn } from './fake-nvml.ts';
import { json, plugServer } from './plug-server.ts';

const stops: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function host(name: string, env: Readonly<Record<string, string>> = {}) {
  const all = { ...hostEnvironment(name), ...env };
  return { run: programRunner(all), env: all, every: 10, hasHardware: async () => true };
}

telemetryWatchContract('this host with a fake nvidia-smi', () => systemTelemetry(host('two')), { cards: 2 });
telemetryWatchContract(
  'this host with a fake nvidia-smi and NVML',
  () => systemTelemetry({ ...host('two'), gauge: gaugeOn('two') }),
  { cards: 2 },
);

describe('the meters of a host', () => {
  it('are all heard by each who watches: nvidia-smi, counters, and the plug', async () => {
    const server = await plugServer(json({ apower: 90, aenergy: { total: 4 } }));
    stops.push(() => server.close());
    const plug = { kind: 'shelly', url: server.url, token: null } as const;
    const telemetry = systemTelemetry({ ...host('two'), gauge: gaugeOn('two'), plug });
    const kinds = new Set<Reading['kind']>();
    const watching = telemetry.watch(({ kind }) => kinds.add(kind));
    stops.push(() => watching.stop());
    await expect.poll(() => [...kinds].toSorted()).toEqual(['counter', 'power', 'wall']);
  });

  it('are started once for all who watch, and end with the last', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-watch-'));
    stops.push(() => rmSync(folder, { recursive: true }));
    const starts = join(folder, 'starts');
    const telemetry = systemTelemetry(host('two', { FAKE_NVIDIA_STARTS: starts }));
    const heard: Reading[] = [];
    const [one, other] = [telemetry.watch(() => {}), telemetry.watch((reading) => heard.push(reading))];
    await expect.poll(() => heard.length).toBeGreaterThan(2);
    await one.stop();
    await other.stop();
    expect(readFileSync(starts, 'utf8')).toBe('.');
    const again = telemetry.watch((reading) => heard.push(reading));
    const before = heard.length;
    await expect.poll(() => heard.length).toBeGreaterThan(before);
    await again.stop();
    expect(readFileSync(starts, 'utf8')).toBe('..');
  });

  it('are none where there is nothing to be read, and nothing is told then', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-watch-'));
    stops.push(() => rmSync(folder, { recursive: true }));
    const starts = join(folder, 'starts');
    const asked: string[] = [];
    const heard: Reading[] = [];
    const watching = systemTelemetry({
      run: async (program) => {
        asked.push(program);
        return { kind: 'absent' };
      },
      env: { FAKE_NVIDIA_STARTS: starts },
    }).watch((reading) => heard.push(reading));
    await expect.poll(() => asked).toEqual(['nvidia-smi', '/usr/lib/wsl/lib/nvidia-smi']);
    await watching.stop();
    expect(heard).toEqual([]);
    expect(existsSync(starts)).toBe(false);
  });

  it('are told by the doctor, card by card', async () => {
    const checks = await systemTelemetry({ ...host('two'), gauge: gaugeOn('two') }).check();
    expect(checks.filter(({ name }) => name === 'energy').map(({ detail }) => detail)).toEqual([
      '0: counter, power of the instant, programs are read',
      '1: counter, power of the instant, programs are read',
    ]);
  });
});
