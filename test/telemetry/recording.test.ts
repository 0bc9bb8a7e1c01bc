import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError, StorageError } from '../../src/errors.ts';
import type { Reading, Telemetry } from '../../src/ports.ts';
import { fixedTelemetry } from '../../src/telemetry/fixed.ts';
import { createRecording, recordTelemetry } from '../../src/telemetry/recorder.ts';
import { metadataOf, readRecording } from '../../src/telemetry/recording.ts';
import { replayTelemetry } from '../../src/telemetry/replay.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { allOf } from './all-of.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/telemetry');
const HEAD = '{"fields": ["index", "uuid", "power.draw.instant"], "uuids": ["GPU-1"]}';

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-recording-'));
  file = join(folder, 'card.ndjson');
});
afterEach(() => rmSync(folder, { recursive: true }));

async function read(text: string): Promise<unknown[]> {
  writeFileSync(file, text);
  return allOf(readRecording(file));
}

describe('a recording', () => {
  it('has a reading for each line, in their order, and marks between', async () => {
    const lines = [
      HEAD,
      '{"t": 1, "src": "mark", "what": "busy"}',
      '{"t": 2, "src": "smi", "row": "0, GPU-1, 50.00"}',
      '{"t": 3, "src": "nvml", "uuid": "GPU-1", "mj": 70, "processes": [{"pid": 3, "share": null}]}',
      '{"t": 4, "src": "plug", "w": 312.5, "wh": 9.5}',
      '{"t": 5, "src": "rapl", "mj": 11}',
      '{"t": 6, "src": "lost", "source": "plug", "reason": "gone"}',
    ];
    expect(await read(`${lines.join('\n')}\n`)).toEqual([
      { kind: 'mark', at: 1, what: 'busy' },
      expect.objectContaining({ kind: 'power', at: 2, gpu: 'GPU-1', watts: 50 }),
      { kind: 'counter', at: 3, gpu: 'GPU-1', millijoules: 70, processes: [{ pid: 3, share: null }] },
      { kind: 'wall', at: 4, watts: 312.5, wattHours: 9.5 },
      { kind: 'package', at: 5, millijoules: 11 },
      { kind: 'lost', at: 6, source: 'plug', reason: 'gone' },
    ]);
  });

  it('of gpu-proof is read too: its card is in `card`, and nothing is known of programs', async () => {
    const head = {
      fields: ['timestamp', 'index', 'uuid', 'power.draw.instant', 'power.draw.average', 'enforced.power.limit'],
      uuids: ['GPU-1'],
      card: { name: 'NVIDIA H200', uuid: 'GPU-1', driver: '580.95.05', memory_bytes: 1 },
      date: '2026-11-23T10:00:00+00:00',
    };
    const rows = [
      '{"t": 1, "src": "smi", "row": "2026/11/23 10:00:00.000, 0, GPU-1, 75.10, 75.00, 700.00"}',
      '{"t": 2, "src": "nvml", "uuid": "GPU-1", "mj": 5}',
    ];
    expect(await read(`${JSON.stringify(head)}\n${rows.join('\n')}\n`)).toMatchObject([
      { watts: 75.1, instant: true, limit: 700 },
      { millijoules: 5, processes: null },
    ]);
    expect(await metadataOf(file)).toMatchObject({
      names: ['NVIDIA H200'],
      driver: '580.95.05',
      uuids: ['GPU-1'],
      started: Date.UTC(2026, 10, 23, 10),
    });
  });

  it('leaves out rows that are no rows', async () => {
    const rows = ['0, GPU-1', '0, [GPU is lost], 5.00', 'No devices were found', '0, GPU-1, 7.00'];
    const lines = rows.map((row, t) => JSON.stringify({ t, src: 'smi', row }));
    expect(await read(`${[HEAD, ...lines].join('\n')}\n`)).toMatchObject([{ at: 3, watts: 7 }]);
  });

  it('may change its fields, when nvidia-smi became another', async () => {
    const lines = [
      '{"t": 1, "src": "fields", "fields": ["gpu_uuid", "power.draw"]}',
      '{"t": 2, "src": "smi", "row": "GPU-1, 5.00"}',
    ];
    expect(await read(`${[HEAD, ...lines].join('\n')}\n`)).toMatchObject([{ at: 2, watts: 5, instant: false }]);
  });

  it('that a kill cut short ends with its last whole line', async () => {
    const text = `${HEAD}\n{"t": 1, "src": "smi", "row": "0, GPU-1, 50.00"}\n{"t": 2, "src": "smi", "row": "0, GPU-1, 5`;
    expect(await read(text)).toMatchObject([{ at: 1, watts: 50 }]);
  });

  it.each([
    ['is empty', '', ':1: it is empty, or its first line is not whole'],
    ['has a head that is cut', '{"fields": []', ':1: it is empty'],
    ['is something else', 'hello\nworld\n', ':1: this line is not JSON'],
    ['has another head', '{"prompt": "a cat"}\n', ':1: this line is not one of a recording (fields: '],
    [
      'is of a later version',
      '{"v": 2, "fields": [], "uuids": []}\n',
      'it is of a version that this kilnwatt does not',
    ],
    ['has a bad line', `${HEAD}\n{"t": 1, "src": "smi"}\n`, ':2: this line is not one of a recording (row: '],
    ['has a line of another kind', `${HEAD}\n\n{"t": 1, "src": "moon"}\n`, ':3: this line is not one of a recording'],
  ])('that %s is refused with its line', async (_, text, sentence) => {
    const refused = read(text);
    await expect(refused).rejects.toBeInstanceOf(InputError);
    await expect(refused).rejects.toMatchObject({
      code: 'bad_recording',
      message: expect.stringContaining(sentence),
    });
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining(file) });
  });

  it('that is not there is refused', async () => {
    await expect(metadataOf(file)).rejects.toMatchObject({ code: 'bad_recording' });
    await expect(allOf(readRecording(folder))).rejects.toMatchObject({ code: 'bad_recording' });
  });
});

describe('the writer', () => {
  const about = { fields: ['uuid'], driver: null, uuids: ['GPU-1'], names: ['A'], started: 5, machine: null };

  it('flushes each second, and its file is whole at any moment', async () => {
    const clock = new ManualClock();
    const writer = await createRecording(file, () => about, { clock });
    writer.write({ t: 1, src: 'rapl', mj: 3 });
    clock.advance(999);
    expect(readFileSync(file, 'utf8')).toBe('');
    clock.advance(1);
    await expect.poll(() => readFileSync(file, 'utf8').split('\n')).toHaveLength(3);
    expect(await allOf(readRecording(file))).toEqual([{ kind: 'package', at: 1, millijoules: 3 }]);
    writer.write({ t: 2, src: 'rapl', mj: 4 });
    await Promise.all([writer.close(), writer.close()]);
    expect(await allOf(readRecording(file))).toHaveLength(2);
    expect(await metadataOf(file)).toEqual(about);
  });

  it('has a head even when nothing was ever said', async () => {
    await (await createRecording(file, () => about, { clock: new ManualClock() })).close();
    expect(await metadataOf(file)).toEqual(about);
  });

  it('never overwrites, and says where it cannot write', async () => {
    writeFileSync(file, 'mine');
    const clock = new ManualClock();
    await expect(createRecording(file, () => about, { clock })).rejects.toMatchObject({ code: 'recording_exists' });
    expect(readFileSync(file, 'utf8')).toBe('mine');
    const nowhere = createRecording(join(folder, 'no', 'such'), () => about, { clock });
    await expect(nowhere).rejects.toBeInstanceOf(StorageError);
  });

  it('tells of a full disk, and writes nothing more', async () => {
    const clock = new ManualClock();
    const writer = await createRecording(file, () => about, { clock, create: () => open('/dev/full', 'w') });
    writer.write({ t: 1, src: 'rapl', mj: 3 });
    expect(writer.fault).toBeNull();
    clock.advance(1_000);
    await expect.poll(() => writer.fault?.message).toContain('the recording cannot be written (ENOSPC');
    writer.write({ t: 2, src: 'rapl', mj: 4 });
    expect(clock.waiting).toBe(0);
    await expect(writer.close()).rejects.toMatchObject({ code: 'recording_failed' });
  });
});

describe('recording a telemetry', () => {
  it('keeps the rows as they came, and a replay tells the same', async () => {
    const original = join(FIXTURES, 'two-rtx4060ti.ndjson');
    const source = replayTelemetry(original, { speed: Number.POSITIVE_INFINITY });
    const clock = new ManualClock();
    const heard: Reading[] = [];
    const recorder = await recordTelemetry(source, file, { clock, onReading: (reading) => heard.push(reading) });
    await expect.poll(() => heard.filter(({ kind }) => kind === 'lost').length).toBe(2);
    recorder.mark('over');
    await recorder.stop();
    const [copied, first] = [await allOf(readRecording(file)), await allOf(readRecording(original))];
    expect(copied.slice(0, first.length)).toEqual(first);
    expect(copied.at(-1)).toMatchObject({ kind: 'mark', what: 'over' });
    const { started: _, ...about } = await metadataOf(original);
    expect(await metadataOf(file)).toMatchObject(about);
  });

  it('makes rows of the readings of one that has none', async () => {
    const reading = {
      kind: 'power',
      at: 7,
      gpu: 'GPU-1',
      watts: 12.5,
      instant: false,
      limit: null,
      utilization: 0.29,
      memoryUsed: 0,
      memoryTotal: 8 * 1024 ** 3,
      temperature: 40,
      fan: 0,
      clock: 210,
      state: 'P8',
    } as const;
    const host = { host: { os: 'L', kernel: '6', virtual: null }, cpu: { name: 'C', cores: 1, threads: 1 }, memory: 1 };
    const source: Telemetry = {
      ...fixedTelemetry({ ...host, gpus: [], problems: [] }),
      watch: (onReading) => {
        onReading(reading);
        onReading({ ...reading, at: 8, instant: true });
        return { stop: async () => {} };
      },
    };
    await (await recordTelemetry(source, file, { clock: new ManualClock() })).stop();
    expect(await allOf(readRecording(file))).toEqual([reading, { ...reading, at: 8, instant: true }]);
  });
});

it.each([
  ['at once', 0],
  ['after its head was written', 5_000],
])('a recording says when nvidia-smi has become another one, %s', async (_, later) => {
  const clock = new ManualClock();
  const host = { host: { os: 'L', kernel: '6', virtual: null }, cpu: { name: 'C', cores: 1, threads: 1 }, memory: 1 };
  const source: Telemetry = {
    ...fixedTelemetry({ ...host, gpus: [], problems: [] }),
    watch: (_onReading, onRow) => {
      onRow?.({ at: 1, fields: ['uuid', 'power.draw.instant'], row: 'GPU-1, 5.00' });
      clock.advance(later);
      onRow?.({ at: 2, fields: ['power.draw', 'gpu_uuid'], row: '6.00, GPU-1' });
      onRow?.({ at: 3, fields: ['power.draw', 'gpu_uuid'], row: '7.00, GPU-1' });
      return { stop: async () => {} };
    },
  };
  await (await recordTelemetry(source, file, { clock })).stop();
  expect((await metadataOf(file)).fields).toEqual(['uuid', 'power.draw.instant']);
  expect(await allOf(readRecording(file))).toMatchObject([{ watts: 5 }, { watts: 6 }, { watts: 7 }]);
  expect(readFileSync(file, 'utf8').trimEnd().split('\n')).toHaveLength(5);
});

describe('a replay', () => {
  const card = join(FIXTURES, 'rtx4090-idle.ndjson');

  it('keeps the pace of the recording, and the times that it has', async () => {
    const clock = new ManualClock();
    const heard: Reading[] = [];
    const watching = replayTelemetry(card, { clock, speed: 2 }).watch((reading) => heard.push(reading));
    await expect.poll(() => clock.waiting).toBe(1);
    const before = heard.length;
    await expect
      .poll(() => {
        clock.advance(500);
        return heard.at(-1)?.kind;
      })
      .toBe('lost');
    expect(before).toBeLessThan(3);
    expect(clock.monotonic()).toBeGreaterThanOrEqual(14_500);
    expect(heard[0]?.at).toBe((await allOf(readRecording(card)))[0]?.at);
    await watching.stop();
  });

  it('ends with the loss of each meter that spoke', async () => {
    const heard: Reading[] = [];
    const watching = replayTelemetry(card, { speed: Number.POSITIVE_INFINITY }).watch((reading) => heard.push(reading));
    await expect
      .poll(() => heard.filter(({ kind }) => kind === 'lost'))
      .toMatchObject([
        { source: 'nvidia-smi', reason: 'the recording is over' },
        { source: 'nvml', reason: 'the recording is over' },
      ]);
    await watching.stop();
  });

  it('of a bad file is lost with the reason, and the doctor says so', async () => {
    writeFileSync(file, `${HEAD}\nnonsense\n`);
    const bad = replayTelemetry(file, { speed: Number.POSITIVE_INFINITY });
    const heard: Reading[] = [];
    bad.watch((reading) => heard.push(reading));
    await expect.poll(() => heard).toMatchObject([{ kind: 'lost', reason: expect.stringContaining(':2: ') }]);
    expect(await replayTelemetry(join(folder, 'none')).check()).toMatchObject([{ status: 'fail' }]);
    expect((await replayTelemetry(join(folder, 'none')).inventory()).problems).toHaveLength(1);
  });
});
