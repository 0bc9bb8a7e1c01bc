import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { App } from '../../src/cli/app.ts';
import { main } from '../../src/cli/program.ts';
import { telemetryCalibrate } from '../../src/cli/telemetry-calibrate.ts';
import { telemetryRecord } from '../../src/cli/telemetry-record.ts';
import { telemetryReplay } from '../../src/cli/telemetry-replay.ts';
import { telemetryWatch } from '../../src/cli/telemetry-watch.ts';
import { loadConfig } from '../../src/config.ts';
import { ConfigError, InputError, StorageError, UnavailableError } from '../../src/errors.ts';
import type { Telemetry } from '../../src/ports.ts';
import { type Command, House } from './house.ts';
import { type KeptIo, keptIo } from './kept-io.ts';
import { CARD, type MetersOptions, madeUpMeters } from './meters.ts';

let house: House;
let folder: string;
beforeEach(() => {
  house = new House();
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-telemetry-'));
});
afterEach(async () => {
  rmSync(folder, { recursive: true });
  await house.close();
});

interface Host {
  readonly meters?: MetersOptions;
  readonly telemetry?: Partial<Telemetry>;
  readonly terminal?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A command on a host with made-up meters. */
function onHost({ meters = {}, telemetry = {}, terminal, env = {} }: Host): {
  app: App;
  io: KeptIo;
  interrupts: Command;
} {
  const interrupts = house.command('telemetry');
  const io = keptIo(terminal === undefined ? {} : { terminal });
  const loaded = loadConfig({ cwd: folder, env: { HOME: folder, ...env }, flags: {} });
  const all = { ...madeUpMeters(house.clock, meters), ...telemetry };
  return { app: { ...interrupts.app, io, loaded, telemetry: all }, io, interrupts };
}

/** Lets time go by until the command has ended, at most so many seconds. */
async function ended(command: Promise<number>, seconds = 400): Promise<number> {
  let over = false;
  const end = () => {
    over = true;
  };
  command.then(end, end);
  for (let passed = 0; passed < seconds * 20 && !over; passed++) await house.pass(50);
  if (!over) throw new Error(`the command did not end within ${seconds} s`);
  return command;
}

const events = (io: KeptIo) => io.written.map((line) => JSON.parse(line));
const BUSY: MetersOptions = { gpus: [CARD], watts: (passed) => (passed < 5000 ? 15 : 160), counter: true };

describe('telemetry watch', () => {
  it('says a line a second where there is no terminal, and at the end what each card has come to', async () => {
    const { app, io, interrupts } = onHost({ meters: BUSY });
    expect(await ended(telemetryWatch(app, { for: '10s', interrupts }))).toBe(0);
    const seconds = io.written.filter((line) => /^\d\d:\d\d:\d\d {2}/.test(line));
    expect(seconds.length).toBeGreaterThanOrEqual(9);
    expect(seconds.at(1)).toMatch(/ {2}RTX 4060 Ti P8 15 W 0% 2\.00 GiB 41°C \S+ J$/);
    expect(seconds.at(-1)).toMatch(/RTX 4060 Ti P2 160 W 97%/);
    const text = io.written.join(' ').replaceAll(/ +/g, ' ');
    expect(text).toMatch(
      /by its counter \d+ J by its power ~\d+ J, right to \S+ J if .* to \d+ J whatever it did \(coarse\)/,
    );
    expect(text).toContain('160 W at most, 15.0 W idle');
    expect(io.shown.filter((text) => text !== '')).toEqual([]);
  });

  it('draws a table in a terminal, cut at its width, and takes it away at the end', async () => {
    const { app, io, interrupts } = onHost({ meters: { ...BUSY, wall: (gpu) => gpu + 70 }, terminal: 72 });
    const command = telemetryWatch(app, { interrupts });
    for (let passed = 0; passed < 160; passed++) await house.pass(50);
    interrupts.interrupt();
    expect(await ended(command)).toBe(0);
    const table = io.shown.findLast((text) => text !== '')?.split('\n') ?? [];
    expect(table[0]?.trim().split(/ {2,}/)).toEqual(['state', 'W', '10 s', 'limit', 'use', 'memory', 'temp', 'energy']);
    expect(table[1]?.split(/ {2,}/)).toEqual([
      'RTX 4060 Ti',
      'P2',
      '160',
      expect.stringMatching(/^\d+$/),
      '165',
      '97%',
      '2.00 GiB',
      '41°C',
      expect.stringMatching(/ J$/),
    ]);
    expect(table[2]).toMatch(/^wall +230 /);
    expect(Math.max(...io.shown.flatMap((text) => text.split('\n')).map((line) => line.length))).toBeLessThan(72);
    expect(io.shown.at(-1)).toBe('');
  });

  it('tells two equal cards apart', async () => {
    const gpus = [CARD, { ...CARD, index: 1, uuid: 'GPU-2' }];
    const { app, io, interrupts } = onHost({ meters: { ...BUSY, gpus } });
    await ended(telemetryWatch(app, { for: '2s', interrupts }));
    expect(io.written[0]).toMatch(/0 RTX 4060 Ti P8 15 W .* \| 1 RTX 4060 Ti P8 15 W/);
    expect(io.written.join('\n')).toMatch(/RTX 4060 Ti +GPU-1\n[\s\S]*RTX 4060 Ti +GPU-2\n/);
  });

  it('derives what was taken from the wall where the supply is known and no plug tells, and says so', async () => {
    const env = { KILNWATT_ENERGY_SUPPLY_EFFICIENCY: '0.9', KILNWATT_ENERGY_HOST_WATTS: '30' };
    const derived = async (meters: MetersOptions, known: Readonly<Record<string, string>>) => {
      const { app, io, interrupts } = onHost({ meters, env: known });
      await ended(telemetryWatch(app, { for: '6s', interrupts }));
      return io.written.filter((line) => line.includes('derived'));
    };
    const steady = { ...BUSY, watts: () => 60 };
    // (60 + 30) W for 5 to 6 s, over 0.9
    expect(await derived(steady, env)).toEqual([
      expect.stringMatching(/^at the wall +~[56]\d\d J, derived from energy\./),
    ]);
    // 60 W for as long, over 0.9: what the rest of the host draws nobody said.
    expect(await derived(steady, { KILNWATT_ENERGY_SUPPLY_EFFICIENCY: '0.9' })).toEqual([
      expect.stringMatching(/^at the wall +~[34]\d\d J, derived from energy\.supply_efficiency, with the rest of the/),
    ]);
    expect(await derived(steady, {})).toEqual([]);
    expect(await derived({ ...steady, wall: () => 100 }, env)).toEqual([]);
  });

  it('gives every reading as it came with --json, and a summary', async () => {
    const { app, io, interrupts } = onHost({ meters: BUSY });
    await ended(telemetryWatch(app, { for: '6s', json: true, interrupts }));
    const all = events(io);
    expect(all[0]).toMatchObject({ event: 'power', gpu: 'GPU-1', watts: 15, memory_used: 2 * 1024 ** 3, state: 'P8' });
    expect(all.filter(({ event }) => event === 'counter').length).toBeGreaterThanOrEqual(6);
    const summary = all.at(-1);
    expect(summary).toMatchObject({
      event: 'summary',
      wall: null,
      gpus: [{ uuid: 'GPU-1', name: CARD.name, idle_w: 15 }],
    });
  });

  it('says that telemetry is lost, and does not go on showing what was', async () => {
    const meters = {
      ...BUSY,
      watts: (passed: number) => (passed < 3000 ? 160 : null),
      lost: [[3000, 'it ended']] as const,
    };
    const { app, io, interrupts } = onHost({ meters });
    await ended(telemetryWatch(app, { for: '8s', interrupts }));
    expect(io.errors).toEqual(['telemetry lost: it ended']);
    expect(io.written.filter((line) => /silent \? W/.test(line)).length).toBeGreaterThanOrEqual(3);
    expect(io.written.at(-1)).toMatch(/^telemetry lost +2026-01-01T00:00:03\.\d+Z: it ended$/);
    const terminal = onHost({ meters, terminal: 100 });
    await ended(telemetryWatch(terminal.app, { for: '5s', interrupts: terminal.interrupts }));
    expect(terminal.io.shown.findLast((text) => text !== '')).toMatch(
      /silent +\? +\?[\s\S]*\ntelemetry lost: it ended$/,
    );
  });

  it('shows as silent what has not been heard for five seconds, whoever did not say so', async () => {
    const { app, io, interrupts } = onHost({ meters: { ...BUSY, watts: (passed) => (passed < 1000 ? 160 : null) } });
    await ended(telemetryWatch(app, { for: '8s', interrupts }));
    expect(io.written.filter((line) => /silent \? W/.test(line)).length).toBeGreaterThanOrEqual(1);
  });

  it('says on a host without meters what is assumed there, which is no error', async () => {
    const { app, io, interrupts } = onHost({ meters: { lost: [[1000, 'there is no NVML']] } });
    expect(await ended(telemetryWatch(app, { interrupts }))).toBe(0);
    expect(io.errors.at(-1)).toMatch(/^There is no meter here: .* energy\.cpu_watts \(65 W\)/);
    const json = onHost({});
    expect(await ended(telemetryWatch(json.app, { json: true, interrupts: json.interrupts }))).toBe(0);
    expect(events(json.io)).toEqual([{ event: 'summary', gpus: [], wall: null, package: null, lost: [] }]);
    const short = onHost({});
    expect(await ended(telemetryWatch(short.app, { for: '3s', interrupts: short.interrupts }))).toBe(0);
    expect(short.io.errors).toEqual([expect.stringMatching(/^There is no meter here: /)]);
    const shorter = onHost({});
    expect(await ended(telemetryWatch(shorter.app, { for: '1s', interrupts: shorter.interrupts }))).toBe(0);
    expect(shorter.io.errors).toEqual(['No meter told anything in this time; watch for longer.']);
  });

  it('goes on with the plug where nvidia-smi fails, and fails with it where there is nothing else', async () => {
    const gpus = async () => Promise.reject(new UnavailableError('nvidia-smi is there', { code: 'nvidia_smi_failed' }));
    const plug = onHost({ meters: { wall: () => 70 }, telemetry: { gpus } });
    expect(await ended(telemetryWatch(plug.app, { for: '3s', interrupts: plug.interrupts }))).toBe(0);
    const bare = onHost({ telemetry: { gpus } });
    const command = telemetryWatch(bare.app, { for: '3s', interrupts: bare.interrupts });
    await expect(ended(command)).rejects.toThrow('nvidia-smi is there');
  });
});

describe('telemetry record and replay', () => {
  const recorded = async (meters: MetersOptions, span = '20s') => {
    const file = join(folder, `${Math.floor(house.clock.now())}.ndjson`);
    const { app, interrupts } = onHost({ meters });
    expect(await ended(telemetryRecord(app, file, { for: span, interrupts }))).toBe(0);
    return file;
  };

  it('write what the meters say, and say what it comes to', async () => {
    const file = await recorded({ ...BUSY, wall: (gpu) => gpu + 70 });
    const [first = '', second = ''] = readFileSync(file, 'utf8').split('\n');
    expect(JSON.parse(first)).toMatchObject({
      kilnwatt: 'telemetry',
      v: 1,
      driver: '570.1',
      uuids: ['GPU-1'],
      names: [CARD.name],
    });
    expect(JSON.parse(second)).toMatchObject({ src: 'smi', row: 'GPU-1, P8, 15, 165.00, 0' });
    const { app, io } = onHost({});
    expect(await telemetryReplay(app, file, { json: true })).toBe(0);
    const [figures] = events(io);
    expect(figures).toMatchObject({
      gpus: [{ uuid: 'GPU-1', name: CARD.name, peak_w: 160, idle_w: 15, gaps: 0, flags: [] }],
    });
    const [{ energy_counter_j: counter, energy_integral_j: integral, bound_j: bound, seconds }] = figures.gpus;
    expect(seconds).toBeCloseTo(20, 0);
    expect(Math.abs(integral - (5 * 15 + (seconds - 5) * 160))).toBeLessThanOrEqual(bound);
    expect(counter / integral).toBeCloseTo(1, 1);
    expect(figures.wall).toMatchObject({ meter: 'plug_power', peak_w: 230 });
    const people = onHost({});
    await telemetryReplay(people.app, file, {});
    expect(people.io.written[0]).toMatch(/^RTX 4060 Ti +GPU-1$/);
    expect(Math.max(...people.io.written.map((line) => line.length))).toBeLessThanOrEqual(100);
    const text = people.io.written.join(' ').replaceAll(/ +/g, ' ');
    expect(text).toMatch(/ power \/ counter (0\.9|1\.0)\d\d?, over the \S+ s for which both are known /);
    expect(people.io.errors).toEqual([]);
    writeFileSync(file, readFileSync(file).subarray(0, -9));
    await telemetryReplay(people.app, file, { json: true });
    expect(people.io.errors).toEqual([expect.stringMatching(/ends in the middle of a line: it was cut short there/)]);
  });

  it('end whole at Ctrl-C', async () => {
    const file = join(folder, 'cut.ndjson');
    const { app, io, interrupts } = onHost({ meters: BUSY, terminal: 80 });
    const command = telemetryRecord(app, file, { interrupts });
    for (let passed = 0; passed < 60; passed++) await house.pass(50);
    interrupts.interrupt();
    expect(await ended(command)).toBe(0);
    const text = readFileSync(file, 'utf8');
    expect(text.endsWith('}\n')).toBe(true);
    expect(() =>
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).not.toThrow();
    expect(io.written).toEqual([expect.stringMatching(/^\d+ readings in 3\.\d+ s: kilnwatt telemetry replay /)]);
    expect(io.shown.some((text) => /^\d+ readings in .*; Ctrl-C ends it$/.test(text))).toBe(true);
  });

  it('never write over a file that is there', async () => {
    const file = join(folder, 'kept.ndjson');
    writeFileSync(file, 'mine');
    const { app, interrupts } = onHost({ meters: BUSY });
    const again = ended(telemetryRecord(app, file, { interrupts }));
    await expect(again).rejects.toThrow(expect.objectContaining({ code: 'recording_exists', place: file }));
    expect(readFileSync(file, 'utf8')).toBe('mine');
    const nowhere = ended(telemetryRecord(app, join(folder, 'no', 'x.ndjson'), { interrupts }));
    await expect(nowhere).rejects.toThrow(StorageError);
  });

  it('leave no file behind where there is nothing to record', async () => {
    const { app, interrupts } = onHost({});
    const file = join(folder, 'none.ndjson');
    await expect(ended(telemetryRecord(app, file, { interrupts }))).rejects.toThrow(UnavailableError);
    expect(existsSync(file)).toBe(false);
  });

  it('refuse a file that is none, and say which line is wrong', async () => {
    const { app } = onHost({});
    const wrong = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return expect(telemetryReplay(app, join(folder, name), {})).rejects;
    };
    await expect(telemetryReplay(app, join(folder, 'absent'), {})).rejects.toThrow(InputError);
    await wrong('empty', '').toThrow(InputError);
    await wrong('prose', 'not a recording\n').toThrow(InputError);
    await wrong(
      'bent',
      '{"kilnwatt":"telemetry","v":1,"fields":[],"uuids":[]}\nnonsense\n{"t":1,"src":"rapl","mj":1}\n',
    ).toThrow(/bent:2: /);
  });
});

describe('telemetry calibrate', () => {
  const LOADS: MetersOptions = {
    gpus: [CARD],
    watts: (passed) => (passed < 60_000 ? 15 : 160),
    wall: (gpu) => (gpu + 54) / 0.9,
  };
  const plug = { KILNWATT_ENERGY_PLUG_URL: 'http://127.0.0.1:1' };

  it('guides through rest and work, and prints lines that the configuration takes', async () => {
    const { app, io, interrupts } = onHost({ meters: LOADS, terminal: 80, env: plug });
    expect(await ended(telemetryCalibrate(app, undefined, { for: '2m', interrupts }))).toBe(0);
    expect(io.errors).toEqual([
      'For 120 s plug and cards are compared; Ctrl-C ends it early.',
      'First let the cards rest for a minute.',
      expect.stringMatching(/^Now give them work/),
    ]);
    expect(io.shown.some((text) => /^cards 160 W, wall 238 W; \d+ steady readings$/.test(text))).toBe(true);
    expect(io.written[0]).toMatch(/^From \d+ steady readings, with the cards at 15 to 160 W; off by 0 W in the mean/);
    writeFileSync(join(folder, 'kilnwatt.yaml'), io.written.slice(2).join('\n'));
    const { energy } = loadConfig({ cwd: folder, env: { HOME: folder } }).config;
    expect(energy).toMatchObject({ supplyEfficiency: 0.9, hostWatts: 54 });
  });

  it('finds the same in a recording', async () => {
    const { app, interrupts } = onHost({ meters: LOADS });
    const file = join(folder, 'loads.ndjson');
    await ended(telemetryRecord(app, file, { for: '2m', interrupts }));
    const { app: later, io } = onHost({});
    expect(await telemetryCalibrate(later, file, { json: true, interrupts })).toBe(0);
    expect(events(io)).toEqual([
      expect.objectContaining({ supply_efficiency: 0.9, host_watts: 54, least_w: 15, most_w: 160 }),
    ]);
    const misplaced = telemetryCalibrate(later, file, { for: '2m', interrupts });
    await expect(misplaced).rejects.toThrow('--for: is for a calibration here and now');
  });

  it('refuses what nothing can be told from, with the reason', async () => {
    const { app, interrupts } = onHost({ meters: { ...LOADS, watts: () => 160 }, env: plug });
    const flat = ended(telemetryCalibrate(app, undefined, { for: '1m', interrupts }));
    await expect(flat).rejects.toThrow(/^cannot be calibrated by this: only one load was seen/);
    const bare = onHost({ meters: LOADS });
    const without = ended(telemetryCalibrate(bare.app, undefined, { interrupts: bare.interrupts }));
    await expect(without).rejects.toThrow(ConfigError);
  });

  it('refuses at once what can never be told, before anybody waits for it', async () => {
    const cardless = onHost({ meters: { wall: () => 70 }, env: plug });
    await expect(telemetryCalibrate(cardless.app, undefined, cardless)).rejects.toThrow(
      'there is no NVIDIA card here whose power could be compared with the plug',
    );
    const hasty = onHost({ meters: LOADS, env: plug });
    const short = telemetryCalibrate(hasty.app, undefined, { for: '4s', interrupts: hasty.interrupts });
    await expect(short).rejects.toThrow('--for: is too short');
    expect([cardless.io.errors, hasty.io.errors]).toEqual([[], []]);
  });
});

describe('telemetry --help', () => {
  const help = async (...words: string[]): Promise<string> => {
    const io = keptIo();
    const buildApp = () => {
      throw new Error('help needs no app');
    };
    expect(
      await main(['telemetry', ...words, '--help'], { version: '1', io, buildApp, interrupts: house.command('x') }),
    ).toBe(0);
    return io.written.join('\n');
  };

  it('names its commands', async () => {
    expect(await help()).toMatch(/watch[\s\S]*record[\s\S]*replay[\s\S]*calibrate/);
  });

  it('says of every figure of a card what it means', async () => {
    const { app, io, interrupts } = onHost({ meters: BUSY });
    await ended(telemetryWatch(app, { for: '2s', json: true, interrupts }));
    const text = await help('replay');
    const named = Object.keys(events(io).at(-1).gpus[0]).filter((key) => key !== 'uuid' && key !== 'name');
    expect(named.filter((key) => !new RegExp(`\\b${key}\\b`).test(text))).toEqual([]);
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});
