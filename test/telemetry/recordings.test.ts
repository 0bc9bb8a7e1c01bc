import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Reading } from '../../src/ports.ts';
import { metadataOf, type RecordingMark, readRecording } from '../../src/telemetry/recording.ts';
import { replayTelemetry } from '../../src/telemetry/replay.ts';
import { telemetryContract } from '../contracts/telemetry.ts';
import { telemetryWatchContract } from '../contracts/telemetry-watch.ts';
import { composed, type Truth } from '../fixtures/telemetry/compose.ts';
import { allOf } from './all-of.ts';

const FOLDER = join(import.meta.dirname, '../fixtures/telemetry');
const TRUTH: Record<string, Record<string, Truth>> = JSON.parse(readFileSync(join(FOLDER, 'truth.json'), 'utf8'));
const NAMES = Object.keys(TRUTH);
const CARDS = NAMES.flatMap((name) =>
  Object.entries(TRUTH[name] ?? {}).map(([uuid, truth]) => ({ name, uuid, truth })),
);

function recording(name: string): string {
  return join(FOLDER, `${name}.ndjson`);
}

async function readings(name: string): Promise<readonly (Reading | RecordingMark)[]> {
  return allOf(readRecording(recording(name)));
}

async function powerOf(name: string, uuid: string) {
  return (await readings(name)).filter((reading) => reading.kind === 'power').filter(({ gpu }) => gpu === uuid);
}

async function countersOf(name: string, uuid: string) {
  return (await readings(name)).filter((reading) => reading.kind === 'counter').filter(({ gpu }) => gpu === uuid);
}

for (const [name, cards] of [['two-rtx4060ti', 2] as const, ['laptop', 1] as const]) {
  telemetryContract(`replay of ${name}`, () => replayTelemetry(recording(name)), { cards });
  telemetryWatchContract(`replay of ${name}`, () => replayTelemetry(recording(name), { speed: 10 }), { cards });
}

describe('the made-up recordings', () => {
  it('are what their script makes', () => {
    const files = composed();
    const there = readdirSync(FOLDER).filter((file) => /\.(ndjson|json)$/.test(file));
    expect(there.toSorted()).toEqual([...files.keys()].toSorted());
    for (const [file, text] of files) expect(readFileSync(join(FOLDER, file), 'utf8') === text, file).toBe(true);
  });

  it.each(CARDS)(
    'of $name are read row by row, in order, between the moments of the truth',
    async ({ name, uuid, truth }) => {
      const power = await powerOf(name, uuid);
      const times = power.map(({ at }) => at);
      expect(times).toEqual(times.toSorted((one, other) => one - other));
      expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBe(Math.round(truth.seconds * 1000));
      expect(power.length).toBeGreaterThan(100);
    },
  );

  it.each(CARDS.filter(({ truth, name }) => truth.counted_joules !== null && name !== 'driver-restart'))(
    'of $name count what the card burnt, to the step of its counter',
    async ({ name, uuid, truth }) => {
      const counted = (await countersOf(name, uuid)).flatMap(({ millijoules }) => millijoules ?? []);
      const joules = ((counted.at(-1) ?? 0) - (counted[0] ?? 0)) / 1000;
      expect(Math.abs(joules - (truth.counted_joules ?? 0))).toBeLessThanOrEqual(0.1 * truth.peak_w);
    },
  );

  it.each(CARDS.filter(({ name }) => name !== 'power-not-told' && name !== 'driver-restart'))(
    'of $name show the power that the card had, whether of the instant or as a mean',
    async ({ name, uuid, truth }) => {
      const power = await powerOf(name, uuid);
      let joules = 0;
      for (const [place, { at, watts }] of power.entries()) {
        const before = power[place - 1];
        if (before !== undefined) joules += (((watts ?? 0) + (before.watts ?? 0)) / 2) * ((at - before.at) / 1000);
      }
      expect(Math.abs(joules / truth.joules - 1)).toBeLessThan(0.03);
      expect(Math.max(...power.map(({ watts }) => watts ?? 0))).toBeLessThanOrEqual(truth.peak_w);
    },
  );

  it('has a real zero for an idle card, and null for what a card does not tell', async () => {
    const [idle] = (await readings('rtx4090-idle')).filter(({ kind }) => kind === 'power');
    expect(idle).toMatchObject({ utilization: 0, fan: 0, instant: true, limit: 450 });
    const untold = (await readings('power-not-told')).filter((reading) => reading.kind === 'power');
    expect(new Set(untold.map(({ watts }) => watts))).toEqual(new Set([null]));
    const [laptop] = (await readings('laptop')).filter(({ kind }) => kind === 'power');
    expect(laptop).toMatchObject({ instant: false, limit: null, fan: null });
  });

  it('of two equal cards has each card by itself', async () => {
    const [one = '', other = ''] = Object.keys(TRUTH['two-rtx4060ti'] ?? {});
    const peak = async (uuid: string) =>
      Math.max(...(await powerOf('two-rtx4060ti', uuid)).map(({ watts }) => watts ?? 0));
    expect(await peak(one)).toBeGreaterThan(100);
    expect(await peak(other)).toBeLessThan(12);
  });

  it('of a restart of the driver has the loss, the gap and the counter that fell', async () => {
    const [uuid = ''] = Object.keys(TRUTH['driver-restart'] ?? {});
    const lost = (await readings('driver-restart')).filter((reading) => reading.kind === 'lost');
    expect(lost.map(({ source }) => source)).toEqual(['nvidia-smi', 'nvml']);
    const counters = await countersOf('driver-restart', uuid);
    const falls = counters.filter(
      ({ millijoules }, place) => (millijoules ?? 0) < (counters[place - 1]?.millijoules ?? 0),
    );
    expect(falls).toHaveLength(1);
    expect(falls[0]?.at).toBeGreaterThan(lost[0]?.at ?? Number.POSITIVE_INFINITY);
  });

  it('of a stream that dies goes on with the counter', async () => {
    const all = await readings('stream-dies');
    const lostAt = all.find(({ kind }) => kind === 'lost')?.at ?? 0;
    const after = all.filter(({ at }) => at > lostAt + 100).map(({ kind }) => kind);
    expect(new Set(after)).toEqual(new Set(['counter']));
    expect(after.length).toBeGreaterThan(10);
  });

  it.each(NAMES)('of %s says what was recorded', async (name) => {
    const { uuids, names, driver, fields, started, machine } = await metadataOf(recording(name));
    expect(uuids).toEqual(Object.keys(TRUTH[name] ?? {}));
    expect(names).toHaveLength(uuids.length);
    expect([driver, started, machine?.cpu.threads]).toEqual(['580.95.05', Date.UTC(2026, 10, 23, 10), 16]);
    expect(fields).toContain('uuid');
  });
});
