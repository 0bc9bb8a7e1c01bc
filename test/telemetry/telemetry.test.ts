import { describe, expect, it } from 'vitest';
import type { Inventory } from '../../src/ports.ts';
import type { Ran, Run } from '../../src/process/program.ts';
import { fixedTelemetry } from '../../src/telemetry/fixed.ts';
import { readInventory } from '../../src/telemetry/inventory.ts';
import { systemTelemetry } from '../../src/telemetry/system.ts';
import { telemetryContract } from '../contracts/telemetry.ts';
import { onHost } from './fake-nvidia.ts';

const HOST: Inventory = {
  host: { os: 'Debian GNU/Linux 12', kernel: '6.1', virtual: false },
  cpu: { name: 'AMD Ryzen 9', cores: 8, threads: 16 },
  memory: 32 * 1024 ** 3,
  gpus: [
    {
      vendor: 'nvidia',
      name: 'NVIDIA GeForce RTX 4090',
      index: 0,
      uuid: 'GPU-1',
      driver: '580.95.05',
      memory: 24 * 1024 ** 3,
      memoryUsed: 0,
      power: 21.5,
      powerLimit: 450,
    },
  ],
  problems: [],
};

telemetryContract('this host with a fake nvidia-smi', () => systemTelemetry({ run: onHost('two') }), { cards: 2 });
telemetryContract(
  'this host as it would be without a card',
  () => systemTelemetry({ run: answering({ kind: 'absent' }) }),
  { cards: 0 },
);
telemetryContract('fixed', () => fixedTelemetry(HOST), { cards: 1 });

/** nvidia-smi is not there; the probe of the host answers as told, or is really run. */
function answering(nvidia: Ran, probe?: Ran): Run {
  return async (program, args, limit) => {
    if (program !== process.execPath) return nvidia;
    return probe ?? onHost('no-device')(program, args, limit);
  };
}

function probed(answer: unknown): Ran {
  return { kind: 'exited', code: 0, stdout: JSON.stringify(answer), stderr: '' };
}

function cards(...list: readonly { vendor: string; model: string }[]): Ran {
  return probed({ cpu: { name: 'C', cores: 4 }, os: 'Debian', virtual: false, cards: list });
}

describe('the inventory', () => {
  it('still knows processor and memory when the probe hangs, and says so', async () => {
    const inventory = await readInventory({ run: answering({ kind: 'absent' }, { kind: 'hung', seconds: 15 }) });
    expect(inventory.cpu.cores).toBeGreaterThan(0);
    expect(inventory.problems).toEqual(['the host was not read: its probe did not answer']);
  });

  it.each([
    [
      'crashes',
      { kind: 'exited', code: 1, stdout: '', stderr: 'Error: Cannot find module\n  at x' } as const,
      'Cannot find module',
    ],
    ['answers nonsense', probed({ cpu: 7 }), 'its probe failed'],
  ])('says so when the probe %s', async (_, probe, reason) => {
    const { problems } = await readInventory({ run: answering({ kind: 'absent' }, probe) });
    expect(problems).toEqual([expect.stringContaining(reason)]);
    expect(problems[0]).not.toContain('\n');
  });

  it('lists cards of other makers, of which nothing more is known', async () => {
    const amd = { vendor: 'Advanced Micro Devices, Inc. [AMD/ATI]', model: 'Navi 31' };
    const { gpus } = await readInventory({ run: answering({ kind: 'absent' }, cards(amd)) });
    expect(gpus).toEqual([
      expect.objectContaining({ vendor: 'amd', name: 'Navi 31', uuid: null, power: null, memory: null }),
    ]);
  });

  it('names a card once that both nvidia-smi and the bus show', async () => {
    const real = onHost('two');
    const listed = cards(
      { vendor: 'NVIDIA Corporation', model: 'AD106' },
      { vendor: 'Intel Corporation', model: 'UHD 770' },
    );
    const run: Run = async (program, args, limit) =>
      program === process.execPath ? listed : real(program, args, limit);
    const { gpus } = await readInventory({ run });
    expect(gpus.map(({ vendor }) => vendor)).toEqual(['nvidia', 'nvidia', 'intel']);
  });
});

describe('the lines for the doctor', () => {
  it('name each card and where its power is read', async () => {
    const checks = await systemTelemetry({ run: onHost('two') }).check();
    expect(checks.filter(({ name }) => name === 'gpu').map(({ detail }) => detail)).toEqual([
      expect.stringMatching(/^0: NVIDIA GeForce RTX 4060 Ti, 16.0 GiB, driver 580.95.05, GPU-/),
      expect.stringMatching(/^1: /),
    ]);
    expect(checks).toContainEqual({
      name: 'nvidia-smi',
      status: 'ok',
      detail: 'power is read from power.draw.instant',
    });
  });

  it('warn of a card without a power reading, and say what to set', async () => {
    const checks = await systemTelemetry({ run: onHost('na') }).check();
    expect(checks).toContainEqual(
      expect.objectContaining({
        status: 'warn',
        detail: 'card 0 gives no power reading',
        mend: expect.stringContaining('energy.gpu_watts'),
      }),
    );
  });

  it('fail when nvidia-smi is broken, and still describe the machine', async () => {
    const broken: Ran = { kind: 'exited', code: 9, stdout: '', stderr: 'no driver' };
    const checks = await systemTelemetry({ run: answering(broken), hasHardware: async () => true }).check();
    expect(checks.map(({ name, status }) => [name, status])).toEqual([
      ['machine', 'ok'],
      ['nvidia-smi', 'fail'],
    ]);
    expect(checks[1]?.detail).toContain('no driver');
  });

  it('are fine on a machine without a card', async () => {
    const checks = await systemTelemetry({ run: answering({ kind: 'absent' }) }).check();
    expect(checks.map(({ status }) => status)).toEqual(['ok', 'ok']);
    expect(checks.at(-1)?.detail).toContain('made on the CPU');
  });

  it('warn of an NVIDIA card without a driver and of an AMD card', async () => {
    const without = (card: { vendor: string; model: string }) =>
      systemTelemetry({ run: answering({ kind: 'absent' }, cards(card)) }).check();
    expect(await without({ vendor: 'NVIDIA Corporation', model: 'AD106' })).toContainEqual(
      expect.objectContaining({ status: 'warn', mend: 'install the NVIDIA driver' }),
    );
    expect(await without({ vendor: 'AMD', model: 'Navi 31' })).toContainEqual(
      expect.objectContaining({ status: 'warn', detail: 'Navi 31 is not used; kilnwatt speaks to NVIDIA cards only' }),
    );
  });
});
