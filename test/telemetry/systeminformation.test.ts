import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { PowerReading } from '../../src/ports.ts';
import { programRunner, type Run } from '../../src/process/program.ts';
import { readInventory } from '../../src/telemetry/inventory.ts';
import { smiStream } from '../../src/telemetry/smi-stream.ts';
import { systemTelemetry } from '../../src/telemetry/system.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON } from '../support/python.ts';
import { onHost } from './fake-nvidia.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures');
const STAND_INS = join(FIXTURES, 'systeminformation');
const SMI = join(FIXTURES, 'bin');
const USUAL = '/usr/local/bin:/usr/bin:/bin';

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-si-'));
  folders.push(folder);
  return folder;
}

/** Cards as the real package has them, in a process of its own. */
async function graphics(env: Readonly<Record<string, string>>): Promise<readonly Record<string, unknown>[]> {
  const ran = await programRunner(env)(process.execPath, [join(STAND_INS, 'graphics-process.ts')], 60_000);
  if (ran.kind !== 'exited' || ran.code !== 0) throw new Error(JSON.stringify(ran));
  return JSON.parse(ran.stdout);
}

/** The first row of each of two cards. */
async function streamed(env: Readonly<Record<string, string>>): Promise<readonly PowerReading[]> {
  const seen = new Map<string, PowerReading>();
  const stream = smiStream(
    { clock: new ManualClock(), rng: () => 0, run: programRunner(env), env, every: 10 },
    { onReading: (reading) => void (reading.kind === 'power' && seen.set(reading.gpu, reading)) },
  );
  await expect.poll(() => seen.size).toBe(2);
  await stream.stop();
  return [...seen.values()];
}

describe('what systeminformation gets wrong', () => {
  it('zeros vanish from its answer; an idle card has its zeros here', async () => {
    const env = { PATH: `${SMI}:${STAND_INS}:${USUAL}`, FAKE_NVIDIA_SMI: 'two' };
    const [card] = await graphics(env);
    expect(card).toMatchObject({ name: 'NVIDIA GeForce RTX 4060 Ti', powerDraw: 18.31 });
    expect(card).not.toHaveProperty('utilizationGpu');
    expect(card).not.toHaveProperty('fanSpeed');
    expect(card).not.toHaveProperty('memoryUsed');
    expect((await streamed(env))[0]).toMatchObject({ utilization: 0, fan: 0, memoryUsed: 0 });
  });

  it('of two equal cards on Windows it shows one twice; here each has its own figures', async () => {
    const windows = temporary();
    mkdirSync(join(windows, 'System32'));
    symlinkSync(join(SMI, 'nvidia-smi'), join(windows, 'System32', 'nvidia-smi.exe'));
    const env = { PATH: `${STAND_INS}:${USUAL}`, FAKE_NVIDIA_SMI: 'two' };
    const cards = await graphics({ ...env, KW_PLATFORM: 'win32', WINDIR: windows });
    expect(cards.map(({ powerDraw }) => powerDraw)).toEqual([18.31, 18.31]);
    const power = await streamed({ ...env, PATH: `${SMI}:${env.PATH}` });
    expect(power.map(({ watts }) => watts)).toEqual([18.02, 431.2]);
  });

  it('without lspci it has no card at all; here nvidia-smi is asked all the same', async () => {
    const bare = temporary();
    symlinkSync(PYTHON, join(bare, 'python3'));
    symlinkSync(join(SMI, 'nvidia-smi'), join(bare, 'nvidia-smi'));
    const env = { PATH: bare, FAKE_NVIDIA_SMI: 'two' };
    expect(await graphics(env)).toEqual([]);
    const { gpus, problems } = await readInventory({ run: programRunner(env) });
    expect(gpus.map(({ name, power }) => [name, power])).toEqual([
      ['NVIDIA GeForce RTX 4060 Ti', 18.02],
      ['NVIDIA GeForce RTX 4060 Ti', 431.2],
    ]);
    expect(problems).toEqual([]);
  });

  it('under WSL2 it sees a card of Microsoft; here nvidia-smi is found where WSL2 keeps it', async () => {
    const env = { PATH: `${STAND_INS}:${USUAL}`, FAKE_LSPCI: 'wsl', FAKE_NVIDIA_SMI: 'two' };
    const seen = await graphics(env);
    expect(seen).toHaveLength(1);
    expect(seen[0]).not.toHaveProperty('powerDraw');
    const real = programRunner({ ...env, PATH: `${SMI}:${env.PATH}` });
    const run: Run = async (program, args, limit) => {
      if (program === 'nvidia-smi') return { kind: 'absent' };
      return real(program === '/usr/lib/wsl/lib/nvidia-smi' ? 'nvidia-smi' : program, args, limit);
    };
    const { gpus } = await readInventory({ run });
    expect(gpus.map(({ vendor, index }) => [vendor, index])).toEqual([
      ['nvidia', 0],
      ['nvidia', 1],
      ['other', null],
    ]);
  });

  it('it blocks whoever asks it; so only a process of its own does, once, and never to watch', async () => {
    const src = join(import.meta.dirname, '../../src');
    const users = globSync('**/*.ts', { cwd: src }).filter((file) =>
      readFileSync(join(src, file), 'utf8').includes("from 'systeminformation'"),
    );
    expect(users).toEqual([join('telemetry', 'host-probe.ts')]);

    const started: string[] = [];
    const real = onHost('two');
    const run: Run = (program, args, limit) => {
      started.push([program, ...args].join(' '));
      return real(program, args, limit);
    };
    const telemetry = systemTelemetry({ run, every: 10, env: { PATH: `${SMI}:${USUAL}`, FAKE_NVIDIA_SMI: 'two' } });
    const probes = () => started.filter((line) => line.includes('host-probe')).length;
    let readings = 0;
    const watching = telemetry.watch(() => {
      readings += 1;
    });
    await expect.poll(() => readings).toBeGreaterThan(20);
    expect(probes()).toBe(0);
    await Promise.all([telemetry.inventory(), telemetry.inventory(), telemetry.check()]);
    await watching.stop();
    expect(probes()).toBe(1);
  });
});

describe('a host without an NVIDIA card', () => {
  it.each([
    ['AMD', [{ vendor: 'Advanced Micro Devices, Inc. [AMD/ATI]', model: 'Navi 31' }]],
    ['no card', []],
  ])('with %s tells no power at all, which is not zero', async (_, cards) => {
    const stdout = JSON.stringify({ cpu: { name: 'C', cores: 4 }, os: 'Debian', virtual: false, cards });
    const run: Run = async (program) =>
      program === process.execPath ? { kind: 'exited', code: 0, stdout, stderr: '' } : { kind: 'absent' };
    const telemetry = systemTelemetry({ run });
    expect(await telemetry.gpus()).toEqual([]);
    const { gpus } = await telemetry.inventory();
    expect(gpus.map(({ power, memoryUsed, powerLimit }) => [power, memoryUsed, powerLimit])).toEqual(
      cards.map(() => [null, null, null]),
    );
  });
});
