import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { UnavailableError } from '../../src/errors.ts';
import { programRunner, type Run } from '../../src/process/program.ts';
import { hasNvidiaHardware } from '../../src/telemetry/hardware.ts';
import { readNvidia } from '../../src/telemetry/nvidia.ts';
import { onHost } from './fake-nvidia.ts';

const withCard = { hasHardware: async () => true };

describe('nvidia-smi', () => {
  it('tells two equal cards apart by their UUIDs, each with its own power', async () => {
    const { gpus, powerField } = await readNvidia({ run: onHost('two') });
    expect(gpus.map(({ index, name, power }) => [index, name, power])).toEqual([
      [0, 'NVIDIA GeForce RTX 4060 Ti', 18.02],
      [1, 'NVIDIA GeForce RTX 4060 Ti', 431.2],
    ]);
    expect(new Set(gpus.map(({ uuid }) => uuid)).size).toBe(2);
    expect(gpus[0]).toMatchObject({ driver: '580.95.05', memory: 16380 * 1024 * 1024, memoryUsed: 0, powerLimit: 165 });
    expect(powerField).toBe('power.draw.instant');
  });

  it('is asked only for fields that it lists', async () => {
    const { gpus, powerField } = await readNvidia({ run: onHost('old') });
    expect(powerField).toBe('power.draw');
    expect(gpus[0]).toMatchObject({ power: 18.31, powerLimit: null });
  });

  it('says null for [N/A] and 0 for a real zero', async () => {
    const [unknown] = (await readNvidia({ run: onHost('na') })).gpus;
    const [zero] = (await readNvidia({ run: onHost('zero') })).gpus;
    expect(unknown).toMatchObject({ power: null, memoryUsed: null, powerLimit: 165 });
    expect(zero).toMatchObject({ power: 0, memoryUsed: 0 });
  });

  it('may answer lines that are no cards, and they are reported', async () => {
    const { gpus, problems } = await readNvidia({ run: onHost('garbage') });
    expect(gpus.map(({ index }) => index)).toEqual([0]);
    expect(problems).toEqual([
      expect.stringContaining('WARNING: infoROM is corrupted'),
      expect.stringContaining('[Unknown Error]'),
    ]);
  });

  it('may see no device', async () => {
    expect(await readNvidia({ run: onHost('no-device'), ...withCard })).toMatchObject({
      installed: true,
      gpus: [],
      problems: [],
    });
  });

  it('may not be there', async () => {
    const run = programRunner({ PATH: '/nowhere' });
    expect(await readNvidia({ run, ...withCard })).toMatchObject({ installed: false, gpus: [], powerField: null });
  });

  it('is looked for where WSL2 keeps it', async () => {
    const wsl = '/usr/lib/wsl/lib/nvidia-smi';
    const real = onHost('two');
    const run: Run = async (program, args, limit) =>
      program === wsl ? real('nvidia-smi', args, limit) : { kind: 'absent' };
    expect((await readNvidia({ run })).gpus).toHaveLength(2);
  });

  it('that cannot reach its driver is an error where there is a card, with its own words', async () => {
    const failed = readNvidia({ run: onHost('no-driver'), ...withCard });
    await expect(failed).rejects.toBeInstanceOf(UnavailableError);
    await expect(failed).rejects.toMatchObject({
      code: 'nvidia_smi_failed',
      message: expect.stringContaining("couldn't communicate"),
    });
  });

  it('that was left behind on a machine without a card means no cards', async () => {
    const reading = await readNvidia({ run: onHost('no-driver'), hasHardware: async () => false });
    expect(reading).toMatchObject({ gpus: [], problems: [expect.stringContaining('no NVIDIA card')] });
  });

  it('that hangs and ignores SIGTERM is given up in time and killed', async () => {
    const hung = readNvidia({ run: onHost('hang'), limit: 100, ...withCard });
    await expect(hung).rejects.toMatchObject({
      code: 'nvidia_smi_failed',
      message: expect.stringContaining('did not answer within 0.1 s'),
    });
  });
});

describe('the hardware', () => {
  it('is an NVIDIA display device on the bus, or any card under WSL2', async () => {
    const root = mkdtempSync(join(tmpdir(), 'kilnwatt-pci-'));
    const add = (slot: string, vendor: string, kind: string) => {
      const path = join(root, 'sys/bus/pci/devices', slot);
      mkdirSync(path, { recursive: true });
      writeFileSync(join(path, 'vendor'), `${vendor}\n`);
      writeFileSync(join(path, 'class'), `${kind}\n`);
    };
    try {
      expect(await hasNvidiaHardware(root)).toBe(false);
      add('0000:00:02.0', '0x8086', '0x030000');
      add('0000:01:00.1', '0x10de', '0x040300');
      expect(await hasNvidiaHardware(root)).toBe(false);
      add('0000:01:00.0', '0x10de', '0x030200');
      expect(await hasNvidiaHardware(root)).toBe(true);
      rmSync(join(root, 'sys'), { recursive: true });
      mkdirSync(join(root, 'dev/dxg'), { recursive: true });
      expect(await hasNvidiaHardware(root)).toBe(true);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});
