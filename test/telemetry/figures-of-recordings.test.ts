import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { MeterFigures, type TelemetryFigures } from '../../src/cost/meter-figures.ts';
import { readRecording } from '../../src/telemetry/recording.ts';
import type { Truth } from '../fixtures/telemetry/compose.ts';

const FOLDER = join(import.meta.dirname, '../fixtures/telemetry');
const TRUTH: Record<string, Record<string, Truth>> = JSON.parse(readFileSync(join(FOLDER, 'truth.json'), 'utf8'));
const CARDS = Object.entries(TRUTH).flatMap(([name, cards]) =>
  Object.entries(cards).map(([uuid, truth]) => ({ name, uuid, truth })),
);
/** The counter moves on every tenth of a second. */
const STEP_SECONDS = 0.1;

type Card = TelemetryFigures['gpus'][number];

/** What our reading makes of recordings, beside what the cards burnt in the model that the recordings were made from. */
describe('the figures of recordings', () => {
  const figures = new Map<string, TelemetryFigures>();

  beforeAll(async () => {
    for (const name of Object.keys(TRUTH)) {
      const meters = new MeterFigures();
      for await (const reading of readRecording(join(FOLDER, `${name}.ndjson`)))
        if (reading.kind !== 'mark') meters.add(reading);
      figures.set(name, meters.figures);
    }
  });

  const cardOf = (name: string, uuid: string): Card => {
    const card = figures.get(name)?.gpus.find((one) => one.uuid === uuid);
    if (card === undefined) throw new Error(`${name} has no ${uuid}`);
    return card;
  };

  it('are of the cards that were recorded, and of no other', () => {
    const told = [...figures].flatMap(([name, { gpus }]) => gpus.map(({ uuid }) => `${name} ${uuid}`));
    expect(told).toEqual(CARDS.map(({ name, uuid }) => `${name} ${uuid}`));
  });

  it.each(CARDS.filter(({ name }) => name !== 'power-not-told'))(
    'of $name hold the true joules within the bound of their integral, and within what was missing',
    ({ name, uuid, truth }) => {
      const { energy_integral_j: integral, bound_j: bound, missing_seconds: missing, peak_w } = cardOf(name, uuid);
      if (integral === null || bound === null || peak_w === null) throw new Error(`${name} tells no integral`);
      // Where rows are missing in between, the integral lacks what was burnt meanwhile; the truth has it.
      const lacking = name === 'driver-restart' ? missing * truth.peak_w : 0;
      expect(truth.joules).toBeGreaterThanOrEqual(integral - bound);
      expect(truth.joules).toBeLessThanOrEqual(integral + bound + lacking);
      if (lacking === 0) expect(Math.abs(integral / truth.joules - 1)).toBeLessThan(0.02);
      expect(peak_w).toBeLessThanOrEqual(truth.peak_w);
    },
  );

  it.each(CARDS.filter(({ truth, name }) => truth.counted_joules !== null && name !== 'driver-restart'))(
    'of $name hold what was burnt between its readings by the counter, to its step',
    ({ name, uuid, truth }) => {
      const { energy_counter_j, integral_ratio: ratio, flags } = cardOf(name, uuid);
      expect(Math.abs((energy_counter_j ?? 0) - (truth.counted_joules ?? 0))).toBeLessThan(STEP_SECONDS * truth.peak_w);
      expect(ratio).toBeGreaterThan(0.98);
      expect(ratio).toBeLessThan(1.02);
      expect(flags).toEqual([]);
    },
  );

  it('of a driver that restarts lack what was burnt meanwhile and no more, and say so', () => {
    const [uuid = '', truth] = Object.entries(TRUTH['driver-restart'] ?? {})[0] ?? [];
    const { energy_counter_j: counter, gaps, missing_seconds: missing, flags, lost } = cardOf('driver-restart', uuid);
    const lacking = (truth?.counted_joules ?? 0) - (counter ?? 0);
    const peak = truth?.peak_w ?? 0;
    expect(lacking).toBeGreaterThan(-STEP_SECONDS * peak);
    expect(lacking).toBeLessThan((missing + STEP_SECONDS) * peak);
    expect([gaps, lost, flags]).toEqual([1, 2, ['counter_fell', 'unfilled']]);
    expect(missing).toBeGreaterThan(6);
    expect(missing).toBeLessThan(7.3);
  });

  it('of a stream that dies miss the time after it in the integral, and nothing in the counter', () => {
    const [uuid = '', truth] = Object.entries(TRUTH['stream-dies'] ?? {})[0] ?? [];
    const { seconds, missing_seconds: missing, gaps } = cardOf('stream-dies', uuid);
    expect(missing).toBeCloseTo(seconds - (truth?.seconds ?? 0), 3);
    expect(gaps).toBe(1);
  });

  it('of a card that tells nothing are null and not zero, and one without a counter has none', () => {
    const [silent] = figures.get('power-not-told')?.gpus ?? [];
    expect(silent).toMatchObject({ energy_counter_j: null, energy_integral_j: null, bound_j: null, peak_w: null });
    const [laptop] = figures.get('laptop')?.gpus ?? [];
    expect(laptop).toMatchObject({ energy_counter_j: null, integral_ratio: null, flags: ['mean_power'], coarse: true });
  });
});
