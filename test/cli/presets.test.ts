import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { App } from '../../src/cli/app.ts';
import { presetsLs, presetsShow } from '../../src/cli/presets.ts';
import { presetsExplain } from '../../src/cli/presets-explain.ts';
import { loadConfig } from '../../src/config.ts';
import { AppError, InputError } from '../../src/errors.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import type { Device, Job, Lora } from '../../src/ports.ts';
import { PRESETS, presetNamed } from '../../src/preset/catalogue.ts';
import type { Choice, Considered, Footprint } from '../../src/preset/explanation.ts';
import { FakeProvider } from '../../src/provider/fake.ts';
import { House } from './house.ts';
import type { KeptIo } from './kept-io.ts';

const CARD: Device = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-1', name: 'GeForce RTX 4060 Ti' };
const CPU: Device = { id: 'cpu', kind: 'cpu', uuid: null, name: 'CPU' };

const INK: Lora = { name: 'ink', path: '/loras/ink.safetensors', hash: `sha256:${'1'.repeat(64)}`, bytes: 7000 };

let house: House;
let folder: string;
beforeEach(() => {
  house = new House();
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-presets-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await house.close();
});

interface Place {
  readonly devices?: readonly (readonly [Device, number | null])[];
  readonly yaml?: string;
  readonly flags?: Readonly<Record<string, string>>;
  explain?(device: string, job: Job): Choice;
}

/** A command on a machine of its own, and what it writes. */
function placed({ devices = [[CPU, 32e9]], yaml = '', flags = {}, explain }: Place = {}): { app: App; io: KeptIo } {
  writeFileSync(join(folder, 'kilnwatt.yaml'), yaml);
  const { app, io } = house.command('presets');
  const provider = new FakeProvider({ clock: house.clock, devices: devices.map(([device]) => device) });
  if (explain !== undefined) provider.explain = (job, device) => explain(device, job);
  const loaded = loadConfig({ cwd: folder, env: { HOME: folder }, flags: { model: 'tiny', ...flags } });
  const machine = async () => devices.map(([device, memory]) => ({ device, memory }));
  return { app: { ...app, loaded, machine, provider: async () => provider }, io };
}

const names = (io: KeptIo): readonly string[] => io.written.map((line) => JSON.parse(line).name);

describe('presets ls', () => {
  it('lists what is made for the devices here, by the class of their memory', async () => {
    const { app, io } = placed({ devices: [[CARD, 16.4e9]] });
    expect(await presetsLs(app, { json: true })).toBe(0);
    expect(names(io)).toEqual(expect.arrayContaining(['plain', 'sdxl-8gb', 'sdxl-16gb', 'flux-16gb']));
    expect(names(io).filter((name) => /24gb|80gb|cpu/.test(name))).toEqual([]);
  });

  it('lists all with --all, and says of each for which device it is', async () => {
    const devices = [
      [CARD, 12.9e9],
      [CPU, 32e9],
    ] as const;
    const { app, io } = placed({ devices });
    await presetsLs(app, { json: true, all: true });
    expect(names(io)).toEqual(PRESETS.map(({ name }) => name));
    const here = Object.fromEntries(io.written.map((line) => [JSON.parse(line).name, JSON.parse(line).here]));
    expect(here).toMatchObject({ plain: ['cuda:0', 'cpu'], 'sdxl-12gb': ['cuda:0'], 'sdxl-16gb': [], cpu: ['cpu'] });
  });

  it('takes a card whose memory nobody says for one of any class', async () => {
    const { app, io } = placed({ devices: [[CARD, null]] });
    await presetsLs(app, { json: true });
    expect(names(io)).toContain('sdxl-80gb');
  });

  it('can be read at 100 columns, those of the configuration among them', async () => {
    const { app, io } = placed({ yaml: 'presets: { mine: { like: cpu, reason: mine alone } }\n' });
    await presetsLs(app, { all: true });
    expect(Math.max(...io.written.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(io.written[0]?.split(/ {2,}/)).toEqual(['preset', 'for', 'taken if', 'here']);
    expect(io.written.at(-1)?.split(/ {2,}/)).toEqual(['mine', 'any, CPU', 'named', 'cpu', 'mine alone']);
  });
});

describe('presets show', () => {
  it('says what a preset sets and does not leave neutral, why, and what comes below', async () => {
    const { app, io } = placed();
    expect(await presetsShow(app, 'sdxl-24gb', {})).toBe(0);
    const text = io.written.join('\n').replaceAll(/ +/g, ' ');
    expect(text).toContain('compile: full The denoiser compiled as a whole');
    expect(text).toContain('buckets: [1,2,4] Batches are filled up');
    expect(text).toContain('below sdxl-16gb, then sdxl-8gb, then streamed, for what does not fit');
    expect(text).toContain('source RTX 4080: 4.6 it/s');
    expect(text).not.toContain('offload');
    expect(Math.max(...io.written.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('says of one of the configuration where it stands', async () => {
    const { app, io } = placed({ yaml: 'model: tiny\npresets:\n  mine: { settings: { dtype: float32 } }\n' });
    await presetsShow(app, 'mine', {});
    expect(io.written.join('\n')).toMatch(/from +\S+kilnwatt\.yaml:2/);
    await presetsShow(app, 'mine', { json: true });
    expect(JSON.parse(io.written.at(-1) ?? '')).toMatchObject({ name: 'mine', settings: { dtype: 'float32' } });
  });

  it('refuses a name that there is not', async () => {
    await expect(presetsShow(placed().app, 'turbo', {})).rejects.toThrow(InputError);
  });
});

const GB = 1e9;
const footprint: Footprint = {
  deviceBytes: 9.6 * GB,
  hostBytes: 3.1 * GB,
  ground: 'computed',
  parts: [
    { what: 'weights of the denoiser', bytes: 5.13 * GB, ground: 'computed', detail: '2,567 M parameters in float16' },
    {
      what: 'decode',
      bytes: 2.2 * GB,
      ground: 'learned',
      detail: 'the most that was seen in 12 batches of this shape',
    },
  ],
};
const other: Considered = {
  preset: 'plain',
  batch: 4,
  footprint: { ...footprint, deviceBytes: 17.5 * GB },
  verdict: 'too large',
  why: '17.5 GB and 0.8 GB of reserve do not fit into 15.2 GB',
  seconds: 2.6,
  secondsGround: 'assumed',
};
const choice: Choice = {
  preset: presetNamed('sdxl-16gb'),
  limit: 2,
  reason: 'sdxl-16gb is the fastest that fits',
  room: { device: 15.2 * GB, host: 20 * GB, reserve: 0.8 * GB },
  considered: [
    {
      ...other,
      preset: 'sdxl-16gb',
      batch: 2,
      footprint,
      verdict: 'chosen',
      why: 'is the fastest that fits',
      secondsGround: 'learned',
    },
    other,
    {
      ...other,
      preset: 'sdxl-24gb',
      footprint: null,
      verdict: 'not measured',
      why: 'auto takes it only where it was measured',
      seconds: null,
      secondsGround: null,
    },
  ],
};

describe('presets explain', () => {
  it('shows choice, fit test and what else was looked at, line by line', async () => {
    const { app, io } = placed({ devices: [[CARD, 16e9]], explain: () => choice });
    expect(await presetsExplain(app, undefined, { size: '512x768', cfg: '1', steps: '8' })).toBe(0);
    expect(io.written).toEqual(SHOWN);
  });

  it('writes the same for programs, one line a device', async () => {
    const { app, io } = placed({
      devices: [
        [CARD, 16e9],
        [CPU, 32e9],
      ],
      explain: () => choice,
    });
    expect(await presetsExplain(app, 'tiny', { json: true })).toBe(0);
    const [first, second] = io.written.map((line) => JSON.parse(line));
    expect(first).toMatchObject({
      device: 'cuda:0',
      uuid: 'GPU-1',
      preset: 'sdxl-16gb',
      batch: 2,
      room: { device_bytes: 15.2 * GB, host_bytes: 20 * GB, reserve_bytes: 0.8 * GB },
    });
    expect(first.considered[0].footprint.parts).toEqual(footprint.parts);
    expect(second.device).toBe('cpu');
  });

  it('judges pictures with LoRAs, which not every preset can hold with', async () => {
    const asked: Job[] = [];
    const explained = (job: Job) => {
      asked.push(job);
      return choice;
    };
    const { app, io } = placed({ explain: (_device, job) => explained(job) });
    const models = new MemoryRegistry([await app.models.resolve('tiny')], [INK]);
    expect(await presetsExplain({ ...app, models }, undefined, { lora: ['ink:0.5'] })).toBe(0);
    expect(asked).toMatchObject([
      { request: { loras: [{ name: 'ink', weight: 0.5 }] }, loraPaths: [INK.path], loraBytes: 7000 },
    ]);
    expect(io.written[0]).toContain(', 1 LoRA, --preset auto');
    const fused = placed({ flags: { preset: 'mine' }, yaml: 'presets: { mine: { settings: { fused_qkv: true } } }\n' });
    await expect(presetsExplain({ ...fused.app, models }, undefined, { lora: ['ink'] })).rejects.toThrow('with LoRAs');
    await expect(presetsExplain(app, undefined, { lora: ['clay'] })).rejects.toThrow('clay');
  });

  it('says of each device why nothing can be made there, and ends with 2 where that is all of them', async () => {
    const explain = (device: string): Choice => {
      if (device === 'cuda:0') throw new AppError('64x64 does not fit on cuda:0', { code: 'out_of_memory' });
      return choice;
    };
    const both = placed({
      devices: [
        [CARD, 8e9],
        [CPU, 32e9],
      ],
      explain,
    });
    expect(await presetsExplain(both.app, undefined, {})).toBe(0);
    expect(both.io.written.join('\n')).toContain('nothing  64x64 does not fit on cuda:0');
    const one = placed({ devices: [[CARD, 8e9]], explain });
    expect(await presetsExplain(one.app, undefined, { json: true })).toBe(2);
    expect(JSON.parse(one.io.written[0] ?? '').refused.code).toBe('out_of_memory');
  });

  it('says of a preset that is named what it cannot hold on a device, as its worker would', async () => {
    const { app, io } = placed({
      flags: { preset: 'mine' },
      yaml: 'presets: { mine: { settings: { quantize: fp8_dynamic } } }\n',
    });
    expect(await presetsExplain(app, undefined, {})).toBe(2);
    expect(io.written.join(' ')).toContain('mine: quantize=fp8_dynamic cannot hold on the CPU');
  });

  it.each([
    [
      'a model that the preset cannot hold with',
      { flags: { preset: 'first-block' } },
      {},
      'first-block cannot make tiny',
    ],
    ['a preset that there is not', { flags: { preset: 'turbo' } }, {}, 'there is no preset turbo'],
    ['a size that is none', {}, { size: 'large' }, '--size'],
    ['a model that there is not', {}, { cfg: 'high' }, '--cfg'],
  ])('refuses %s', async (_, place, options, words) => {
    await expect(presetsExplain(placed(place).app, undefined, options)).rejects.toThrow(words);
  });
});

const SHOWN: readonly string[] = [
  'tiny, 512x768, one pass, 8 steps, --preset auto',
  '',
  'cuda:0 (GeForce RTX 4060 Ti)',
  '  preset   sdxl-16gb',
  '  batches  of 2',
  '  because  sdxl-16gb is the fastest that fits',
  '  room     15.2 GB, of which 0.800 GB stay in reserve; 20.0 GB in the memory of the host',
  '',
  '  takes',
  '  weights of the denoiser  5.13 GB  computed  2,567 M parameters in float16',
  '  decode                   2.20 GB  learned   the most that was seen in 12 batches of this shape',
  '  at one time              9.60 GB  computed  and 3.10 GB in the memory of the host',
  '',
  '  looked at  batch  memory   a picture',
  '  sdxl-16gb  2      9.60 GB  2.60 s     chosen        is the fastest that fits',
  '  plain      4      17.5 GB  ~2.60 s    too large     17.5 GB and 0.8 GB of reserve do not fit into',
  '                                                      15.2 GB',
  '  sdxl-24gb  4      ?        ?          not measured  auto takes it only where it was measured',
];
