import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type GaugeProgram, type GaugeReading, gaugeOnce, gaugeStream } from '../../src/telemetry/gauge.ts';
import { gaugeChecks } from '../../src/telemetry/gauge-check.ts';
import { counterOf, gaugeLineOf } from '../../src/telemetry/gauge-line.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { gaugeOn } from './fake-nvml.ts';

const FIRST = 'GPU-1c5cf6d8-0ef3-4b7a-9a6c-000000000001';
const SECOND = 'GPU-2d6df7e9-1fa4-4c8b-8b7d-000000000002';

const CARD = {
  vendor: 'nvidia',
  name: 'NVIDIA GeForce RTX 4060 Ti',
  driver: null,
  memory: null,
  memoryUsed: null,
  power: null,
  powerLimit: null,
} as const;

const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

function listen(program: GaugeProgram) {
  const clock = new ManualClock();
  const heard: GaugeReading[] = [];
  const stream = gaugeStream({ ...program, clock, rng: () => 0 }, (reading) => heard.push(reading));
  stops.push(() => stream.stop());
  return { clock, stream, heard, lost: () => heard.filter(({ kind }) => kind === 'lost') };
}

function rapl(name: string, microjoules: number): string {
  const root = mkdtempSync(join(tmpdir(), 'kilnwatt-rapl-'));
  stops.push(async () => rmSync(root, { recursive: true }));
  const zone = join(root, 'intel-rapl:0');
  mkdirSync(zone);
  writeFileSync(join(zone, 'name'), `${name}\n`);
  writeFileSync(join(zone, 'energy_uj'), `${microjoules}\n`);
  writeFileSync(join(zone, 'max_energy_range_uj'), '262143328850\n');
  return root;
}

describe('the gauge', () => {
  it('tells the counter of each card and who computes on it', async () => {
    const { heard } = listen(gaugeOn('two'));
    await expect.poll(() => heard.length).toBeGreaterThan(3);
    expect(heard.slice(0, 4)).toMatchObject([
      { kind: 'counter', gpu: FIRST, millijoules: 1_000_000 },
      { kind: 'counter', gpu: SECOND, millijoules: 2_000_000, processes: [] },
      {
        kind: 'counter',
        gpu: FIRST,
        millijoules: 1_000_250,
        processes: [
          { pid: 41, share: 0 },
          { pid: 42, share: 0.75 },
        ],
      },
      { kind: 'counter', gpu: SECOND, millijoules: 2_000_250 },
    ]);
  });

  it('tells the processors where nothing else is to be read', async () => {
    const root = rapl('package-0', 7_000_000);
    const { heard } = listen(gaugeOn('no-driver', root));
    let counter = 7_000_000;
    await expect
      .poll(() => {
        counter += 5_000;
        // Renamed into its place, since the kernel never shows a counter that is half written.
        writeFileSync(join(root, 'next'), `${counter}\n`);
        renameSync(join(root, 'next'), join(root, 'intel-rapl:0', 'energy_uj'));
        return heard.length;
      })
      .toBeGreaterThan(1);
    const told = heard.map((reading) => (reading.kind === 'package' ? reading.millijoules : null));
    expect(told).toEqual(told.toSorted((one, other) => (one ?? 0) - (other ?? 0)));
    expect(told[0]).toBeGreaterThan(0);
  });

  it('is silent for good where there is nothing to read', async () => {
    const { heard, stream } = listen(gaugeOn('no-driver'));
    await stream.over;
    expect(heard).toEqual([]);
  });

  it('is started again where cards are listed and none answers yet', async () => {
    const { lost } = listen(gaugeOn('none-answers'));
    await expect.poll(() => lost().length).toBe(1);
    expect(lost()[0]).toMatchObject({ source: 'nvml', reason: expect.stringContaining('none of 2 cards answers') });
  });

  it('is lost when all cards are, and is started again for the next driver', async () => {
    const { clock, heard, lost } = listen(gaugeOn('all-lost'));
    await expect.poll(() => lost().length).toBe(1);
    expect(lost()[0]).toMatchObject({
      source: 'nvml',
      reason: 'the gauge: it ended with code 4: no card has answered for a while',
    });
    const before = heard.length;
    await expect
      .poll(() => {
        clock.advance(100);
        return heard.length;
      })
      .toBeGreaterThan(before);
    expect(heard[before]).toMatchObject({ kind: 'counter', millijoules: 1_000_000 });
  });

  it('is lost where its Python cannot be started', async () => {
    const { lost } = listen({ ...gaugeOn('two'), python: '/nowhere/python' });
    await expect.poll(() => lost().length).toBe(1);
    expect(lost()[0]).toMatchObject({ source: 'nvml', reason: expect.stringContaining('/nowhere/python') });
  });

  it.each([
    'WARNING: something',
    '',
    '{"t": 1, "src": "nvml", "uuid": "GPU-1", "mj": -5}',
    '{"t": 1, "src": "nvml", "uuid": "GPU-1"}',
    '{"t": 1, "src": "nvml", "uuid": "GPU-1", "mj": 5, "processes": [{"pid": 1, "share": 7}]}',
    '{"t": 1, "src": "rapl", "mj": 1',
  ])('says nothing by the line %j', (line) => {
    expect(gaugeLineOf(line)).toBeNull();
  });

  it('does not know the programs of a line that has none', () => {
    const line = gaugeLineOf('{"t": 1, "src": "nvml", "uuid": "GPU-1", "mj": null}');
    expect(line?.src === 'nvml' && counterOf(line)).toMatchObject({ millijoules: null, processes: null });
  });
});

describe('what the doctor says of the energy', () => {
  const cards = [FIRST, SECOND].map((uuid, index) => ({ ...CARD, uuid, index }));
  const lines = async (host: string) => gaugeChecks(cards, await gaugeOnce(gaugeOn(host)));

  it('is a line for each card, with all that is read', async () => {
    expect(await lines('two')).toEqual([
      { name: 'energy', status: 'ok', detail: '0: counter, power of the instant, programs are read' },
      { name: 'energy', status: 'ok', detail: '1: counter, power of the instant, programs are read' },
    ]);
  });

  it('warns of a card that tells nothing', async () => {
    expect((await lines('bare'))[0]).toMatchObject({
      status: 'warn',
      detail: '0: read: nothing; not to be had: counter, power of the instant, programs',
    });
  });

  it('does not take a counter that stands still for one', async () => {
    expect((await lines('dead-counter'))[0]).toMatchObject({
      detail: '0: read: power of the instant, programs; not to be had: counter',
      mend: expect.stringContaining('less exactly'),
    });
  });

  it('names the set-up where the package is not there', () => {
    const [check] = gaugeChecks(cards, 'kilnwatt_worker.gauge: nvidia-ml-py is not installed');
    expect(check).toMatchObject({ status: 'warn', mend: expect.stringContaining('scripts/setup') });
  });

  it('says why there is none at all', async () => {
    expect(await lines('no-driver')).toEqual([
      expect.objectContaining({ status: 'warn', detail: expect.stringContaining('Driver Not Loaded') }),
    ]);
  });
});
