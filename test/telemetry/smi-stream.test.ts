import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { LostReading, PowerReading, RawRow } from '../../src/ports.ts';
import { programRunner } from '../../src/process/program.ts';
import { type SmiStream, type SmiStreamOptions, smiStream } from '../../src/telemetry/smi-stream.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { hostEnvironment } from './fake-nvidia.ts';

const FIRST = 'GPU-1c5cf6d8-0ef3-4b7a-9a6c-000000000001';
const SECOND = 'GPU-2d6df7e9-1fa4-4c8b-8b7d-000000000002';

const streams: SmiStream[] = [];
const folders: string[] = [];

afterEach(async () => {
  await Promise.all(streams.splice(0).map((stream) => stream.stop()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

interface Heard {
  readonly clock: ManualClock;
  readonly stream: SmiStream;
  readonly rows: RawRow[];
  readonly power: PowerReading[];
  readonly lost: LostReading[];
  of(card: string): readonly PowerReading[];
}

/** A stream of rows every few milliseconds; `lives` says what becomes of each nvidia-smi in turn. */
function listen(host: string, lives = 'run', options: Partial<SmiStreamOptions> = {}): Heard {
  const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-smi-'));
  folders.push(folder);
  const env = { ...hostEnvironment(host), FAKE_NVIDIA_LIVES: lives, FAKE_NVIDIA_STARTS: join(folder, 'starts') };
  const clock = new ManualClock();
  const rows: RawRow[] = [];
  const power: PowerReading[] = [];
  const lost: LostReading[] = [];
  const stream = smiStream(
    { clock, rng: () => 0, run: programRunner(env), env, every: 5, hasHardware: async () => true, ...options },
    {
      onReading: (reading) => (reading.kind === 'lost' ? lost.push(reading) : power.push(reading)),
      onRow: (row) => rows.push(row),
    },
  );
  streams.push(stream);
  return { clock, stream, rows, power, lost, of: (card) => power.filter(({ gpu }) => gpu === card) };
}

/** All that follows from what has happened has happened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((next) => setImmediate(next));
}

describe('the stream of nvidia-smi', () => {
  it('tells two equal cards apart, and an idle one has its zeros', async () => {
    const heard = listen('two');
    await expect.poll(() => heard.of(SECOND).length).toBeGreaterThan(2);
    expect(heard.of(FIRST)[0]).toMatchObject({
      watts: 18.02,
      instant: true,
      limit: 165,
      utilization: 0,
      fan: 0,
      memoryUsed: 0,
      memoryTotal: 16380 * 1024 * 1024,
      temperature: 31,
      clock: 210,
      state: 'P8',
      at: heard.clock.now(),
    });
    expect(heard.of(SECOND)[0]).toMatchObject({ watts: 431.2 });
    expect(heard.lost).toEqual([]);
  });

  it('offers its rows as they came, with the names of their fields', async () => {
    const heard = listen('two');
    await expect.poll(() => heard.rows.length).toBeGreaterThan(0);
    const first = heard.rows[0];
    const cells = first?.row.split(', ');
    expect(cells?.[first?.fields.indexOf('uuid') ?? -1]).toBe(FIRST);
    expect(cells).toHaveLength(first?.fields.length ?? 0);
  });

  it('is asked only for fields that this nvidia-smi lists', async () => {
    const heard = listen('old');
    await expect.poll(() => heard.power.length).toBeGreaterThan(0);
    expect(heard.power[0]).toMatchObject({ watts: 18.31, instant: false, limit: null, utilization: null, fan: null });
  });

  it('says null for a power that the card does not tell', async () => {
    const heard = listen('na');
    await expect.poll(() => heard.power.length).toBeGreaterThan(0);
    expect(heard.power[0]).toMatchObject({
      watts: null,
      instant: false,
      memoryUsed: null,
      fan: null,
      utilization: null,
    });
  });

  it('skips and counts what is no row of a card', async () => {
    const heard = listen('garbage');
    await expect.poll(() => heard.power.length).toBeGreaterThan(2);
    expect(heard.stream.skipped).toBeGreaterThan(1);
    expect(new Set(heard.power.map(({ gpu }) => gpu))).toEqual(new Set([FIRST]));
    expect(heard.rows.some(({ row }) => row.includes('infoROM is corrupted'))).toBe(true);
  });

  it('is lost with the last words of a program that died, and comes back after a pause', async () => {
    const heard = listen('two', 'die:2 run');
    await expect.poll(() => heard.lost.length).toBe(1);
    expect(heard.lost[0]).toMatchObject({ source: 'nvidia-smi', at: heard.clock.now() });
    expect(heard.lost[0]?.reason).toBe(
      'nvidia-smi: it ended with code 15: Unable to determine the device handle for GPU0: GPU is lost.  Reboot the system.',
    );
    expect(heard.power).toHaveLength(4);
    await expect.poll(() => heard.clock.waiting).toBeGreaterThan(0);
    heard.clock.advance(1_000);
    await expect.poll(() => heard.power.length).toBeGreaterThan(4);
    expect(heard.lost).toHaveLength(1);
  });

  it('is lost once while it fails again and again, and once more when it falls silent anew', async () => {
    const heard = listen('two', 'die:1 die:0 die:0 die:1 run');
    const tries = async (power: number) => {
      await expect
        .poll(() => {
          heard.clock.advance(1_000);
          return heard.power.length;
        })
        .toBeGreaterThanOrEqual(power);
    };
    await tries(4);
    await tries(5);
    expect(heard.lost).toHaveLength(2);
  });

  it('drops the half row of a program that was cut off', async () => {
    const heard = listen('two', 'half:1 run');
    await expect.poll(() => heard.lost.length).toBe(1);
    expect(heard.power.map(({ watts }) => watts)).toEqual([18.02, 431.2]);
  });

  it('is lost when nothing is said for five seconds, and the mute program is replaced', async () => {
    const heard = listen('two', 'hang:2 run');
    await expect.poll(() => heard.power.length).toBe(4);
    heard.clock.advance(4_999);
    await turns();
    expect(heard.lost).toEqual([]);
    heard.clock.advance(1);
    await expect.poll(() => heard.lost.map(({ reason }) => reason)).toEqual(['nvidia-smi: it fell silent']);
    await expect
      .poll(() => {
        heard.clock.advance(500);
        return heard.power.length;
      })
      .toBeGreaterThan(4);
  });

  it('does not take a host that slept for a program that fell silent', async () => {
    const heard = listen('two', 'hang:1');
    await expect.poll(() => heard.power.length).toBe(2);
    heard.clock.jump(3_600_000);
    // What looks each second does so once after the sleep.
    await turns();
    expect(heard.lost).toEqual([]);
    heard.clock.advance(4_000);
    await expect.poll(() => heard.lost.length).toBe(1);
  });

  it('names a card that vanishes while another goes on, once', async () => {
    const heard = listen('two', 'one:3');
    await expect.poll(() => heard.lost.length).toBe(1);
    expect(heard.lost[0]?.reason).toBe(`nvidia-smi: ${SECOND} has vanished from its rows`);
    const before = heard.power.length;
    await expect.poll(() => heard.power.length).toBeGreaterThan(before + 30);
    expect(heard.lost).toHaveLength(1);
  });

  it('has nothing to say where there is no nvidia-smi, no card that it sees, or only a leftover of a driver', async () => {
    const nowhere = listen('two', 'run', { run: programRunner({ PATH: '/nowhere' }) });
    const none = listen('no-device');
    const leftover = listen('no-driver', 'run', { hasHardware: async () => false });
    for (const heard of [nowhere, none, leftover]) {
      await heard.stream.over;
      expect([...heard.power, ...heard.lost]).toEqual([]);
    }
  });

  it('is lost where there is a card whose driver does not answer', async () => {
    const heard = listen('no-driver');
    await expect.poll(() => heard.lost.length).toBe(1);
    expect(heard.lost[0]?.reason).toContain("couldn't communicate with the NVIDIA driver");
  });

  it('is over once it is stopped, in the middle of anything', async () => {
    const heard = listen('two');
    await expect.poll(() => heard.power.length).toBeGreaterThan(0);
    await heard.stream.stop();
    const before = heard.power.length;
    await heard.stream.stop();
    heard.clock.advance(60_000);
    expect(heard.power).toHaveLength(before);
    expect(heard.lost).toEqual([]);
  });
});
