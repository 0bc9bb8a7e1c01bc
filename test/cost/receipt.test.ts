import { describe, expect, it } from 'vitest';
import { overheadReceipt, receiptsFor } from '../../src/cost/receipt.ts';
import type { Job, Receipt } from '../../src/ports.ts';
import { nanoOf } from '../../src/units.ts';
import { seeded } from '../support/rng.ts';
import { AT, batchOf, metered, NO_METER, PRICES, resultOf } from './batches.ts';
import { flatTariff } from './terms.ts';

const ASSUMED = flatTariff(0.3, { assumed: true });

const DOWNGRADE = { setting: 'fused_qkv', asked: 'true', in_effect: 'false', reason: 'it has no projections' };

const joulesOf = (receipts: ReadonlyMap<string, Receipt>): readonly (number | null)[] =>
  [...receipts.values()].map((receipt) => receipt.energy.joules);

describe('the receipts of a batch', () => {
  it('say all that is known of a picture and how it was obtained', () => {
    const batch = batchOf([{}, {}]);
    const receipts = receiptsFor(batch, resultOf(batch, metered(2_000_001)), PRICES, 'local', AT);
    expect([...receipts.keys()]).toEqual(['r1-000000', 'r1-000001']);
    expect(receipts.get('r1-000000')).toEqual({
      v: 1,
      provider: 'local',
      device: 'cuda:0',
      engine: 'engine-1',
      preset: 'quality',
      settings: { dtype: 'bfloat16' },
      model: 'tiny',
      batch: { id: 'launch-7', size: 2 },
      seconds: { share: 2.25, batch: 4.5, method: 'measured' },
      peak_memory_bytes: { value: 1_288_490_188, method: 'measured' },
      energy: { joules: 1000.001, method: 'measured', meter: 'nvml_counter', flags: [] },
      cost: { amount: 0.000083333, currency: 'EUR', method: 'measured' },
      price: 'flat:0.3:EUR:config',
      steps: { count: 30, median_seconds: 0.12 },
    });
  });

  it('say what gave way and what the meter of the batch told, which used to end at the wire', () => {
    const batch = batchOf([{}]);
    const work = { teraflops: 12.5, calls: 30, mfu: 0.31, graphs: 1, cachedPrompts: 2 };
    const peaks = { allocated: 7, reserved: 8, device: null };
    const engine = { id: 'engine-1', preset: 'quality', settings: {}, downgrades: [DOWNGRADE], versions: {} };
    const result = resultOf(batch, metered(8000), { work, peaks, engine });
    const [receipt] = receiptsFor(batch, result, PRICES, 'local', AT).values();
    expect(receipt).toMatchObject({
      downgrades: [DOWNGRADE],
      steps: { count: 30, median_seconds: 0.12 },
      work: { teraflops: 12.5, mfu: 0.31, calls: 30, graphs: 1, cached_prompts: 2 },
      peaks: { allocated_bytes: 7, reserved_bytes: 8, device_bytes: null },
    });
  });

  it('leave out what nobody told, and a load keeps what gave way but has no steps', () => {
    const batch = batchOf([{}]);
    const engine = { id: 'engine-1', preset: 'quality', settings: {}, downgrades: [DOWNGRADE], versions: {} };
    const told = receiptsFor(batch, resultOf(batch, metered(8000), { engine }), PRICES, 'local', AT).get('r1-000000');
    const load = overheadReceipt(told ?? expect.unreachable(), { seconds: 2, energy: NO_METER }, PRICES, AT);
    expect(load.downgrades).toEqual([DOWNGRADE]);
    expect(Object.keys(load)).not.toContain('steps');
    const untold = receiptsFor(batch, resultOf(batch, metered(8000), { steps: null }), PRICES, 'local', AT);
    for (const name of ['downgrades', 'steps', 'work', 'peaks'])
      expect(Object.keys(untold.get('r1-000000') ?? {})).not.toContain(name);
  });

  it('divide by pixels, by steps, and by two passes where guidance is above 1', () => {
    const work: Partial<Job['request']>[] = [
      { width: 512, height: 512, steps: 10, guidance: 1 },
      { width: 512, height: 512, steps: 10, guidance: 7 },
      { width: 512, height: 512, steps: 30, guidance: 0 },
      { width: 1024, height: 512, steps: 10, guidance: 1 },
    ];
    const batch = batchOf(work);
    const receipts = receiptsFor(batch, resultOf(batch, metered(8000)), PRICES, 'local', AT);
    expect(joulesOf(receipts)).toEqual([1, 2, 3, 2]);
    expect([...receipts.values()].map((receipt) => receipt.seconds.share)).toEqual([0.5625, 1.125, 1.6875, 1.125]);
  });

  it('add up to the batch exactly, in millijoules and in microseconds, whatever is in it', () => {
    const random = seeded(3);
    for (let round = 0; round < 500; round++) {
      const requests = Array.from({ length: 1 + Math.floor(random() * 12) }, () => ({
        width: 64 * (1 + Math.floor(random() * 32)),
        height: 64 * (1 + Math.floor(random() * 32)),
        steps: 1 + Math.floor(random() * 60),
        guidance: Math.floor(random() * 3),
      }));
      const batch = batchOf(requests);
      const [millijoules, micros] = [Math.floor(random() * 1e9), Math.floor(random() * 1e9)];
      const result = resultOf(batch, metered(millijoules), { seconds: micros / 1e6 });
      const receipts = [...receiptsFor(batch, result, PRICES, 'local', AT).values()];
      expect(receipts.reduce((sum, { energy }) => sum + Math.round((energy.joules ?? Number.NaN) * 1000), 0)).toBe(
        millijoules,
      );
      expect(receipts.reduce((sum, { seconds }) => sum + Math.round(seconds.share * 1e6), 0)).toBe(micros);
    }
  });

  it('estimate energy from the configured watts of the device where no meter answered', () => {
    for (const [device, joules] of [
      ['cpu', 65 * 4.5],
      ['cpu:1', 65 * 4.5],
      ['cuda:0', 300 * 4.5],
    ] as const) {
      const batch = batchOf([{}], device);
      const [receipt] = receiptsFor(batch, resultOf(batch, NO_METER), PRICES, 'local', AT).values();
      expect(receipt?.energy).toEqual({ joules, method: 'assumed', meter: 'model', flags: ['configured_watts'] });
      expect(receipt?.cost.method).toBe('assumed');
    }
  });

  it('say how far from the truth a share may be, and how the samples compare with the counter', () => {
    const batch = batchOf([{}, { steps: 7 }, { steps: 3 }]);
    const window = {
      gpu: 'GPU-1',
      from: AT - 4500,
      to: AT,
      counter: { from: 5000, to: 12_000 },
      integral: { millijoules: 6500, bound: 401 },
      foreign: 0,
    };
    const integral = { millijoules: 6500, method: 'derived', meter: 'power_integral', bound: 401, window } as const;
    const flagged = { ...integral, flags: ['coarse', 'implausible'] } as const;
    const receipts = [...receiptsFor(batch, resultOf(batch, flagged), PRICES, 'local', AT).values()];
    const bounds = receipts.map(({ energy }) => Math.round((energy.bound_joules ?? Number.NaN) * 1000));
    expect(bounds.reduce((sum, bound) => sum + bound, 0)).toBe(401);
    expect(bounds[0]).toBeGreaterThan(bounds[1] ?? Number.NaN);
    expect(receipts.map(({ energy }) => energy.integral_ratio)).toEqual([0.9286, 0.9286, 0.9286]);
    expect(receipts[0]?.energy.flags).toEqual(['coarse', 'implausible']);
  });

  it('have no bound and no ratio where the samples or the counter cannot tell', () => {
    const batch = batchOf([{}]);
    const integral = { millijoules: 6500, bound: 401 };
    const at = { gpu: 'GPU-1', from: AT - 4500, to: AT, foreign: 0 };
    for (const window of [
      { ...at, counter: { from: 12_000, to: 5000 }, integral },
      { ...at, counter: { from: 5000, to: 5000 }, integral },
      { ...at, counter: null, integral },
      { ...at, counter: { from: 5000, to: 12_000 }, integral: null },
    ]) {
      const [receipt] = receiptsFor(batch, resultOf(batch, { ...metered(7000), window }), PRICES, 'local', AT).values();
      expect(Object.keys(receipt?.energy ?? {})).toEqual(['joules', 'method', 'meter', 'flags']);
    }
  });

  it('leave the energy unknown, and do not guess, where others worked beside and their part cannot be told', () => {
    const batch = batchOf([{}]);
    const window = { gpu: 'GPU-1', from: AT - 4500, to: AT, counter: null, integral: null, foreign: null };
    const reading = { ...NO_METER, flags: ['shared_gpu'], window } as const;
    const [receipt] = receiptsFor(batch, resultOf(batch, reading), PRICES, 'local', AT).values();
    expect(receipt?.energy).toEqual({ joules: null, method: 'unknown', meter: 'none', flags: ['shared_gpu'] });
  });

  it('leave time, energy and money unknown where there is neither a meter nor a time', () => {
    const batch = batchOf([{}]);
    const result = resultOf(batch, NO_METER, { seconds: 0, peakMemory: null });
    const [receipt] = receiptsFor(batch, result, PRICES, 'local', AT).values();
    expect(receipt?.seconds).toEqual({ share: 0, batch: 0, method: 'unknown' });
    expect(receipt?.energy).toEqual({ joules: null, method: 'unknown', meter: 'none', flags: [] });
    expect(receipt?.cost).toEqual({ amount: null, currency: 'EUR', method: 'unknown' });
    expect(receipt?.peak_memory_bytes).toEqual({ value: null, method: 'unknown' });
  });

  it('take a measured zero for zero', () => {
    const batch = batchOf([{}]);
    const [receipt] = receiptsFor(batch, resultOf(batch, metered(0)), PRICES, 'local', AT).values();
    expect(receipt?.energy).toMatchObject({ joules: 0, method: 'measured' });
    expect(receipt?.cost).toMatchObject({ amount: 0, method: 'measured' });
  });

  it('are as sure of the money as of the weaker of energy and price', () => {
    const batch = batchOf([{}]);
    const costs = [metered(1000), { millijoules: 1000, method: 'derived', meter: 'power_integral' } as const].map(
      (energy) =>
        [ASSUMED, PRICES.tariff].map((tariff) => {
          const [receipt] = receiptsFor(batch, resultOf(batch, energy), { ...PRICES, tariff }, 'local', AT).values();
          return receipt?.cost.method;
        }),
    );
    expect(costs).toEqual([
      ['assumed', 'measured'],
      ['assumed', 'derived'],
    ]);
  });

  it('can be checked by hand: joules times price, to the nano-unit', () => {
    const tariff = flatTariff(0.15, { currency: 'USD' });
    const batch = batchOf([{}]);
    const [receipt] = receiptsFor(
      batch,
      resultOf(batch, metered(299_000)),
      { ...PRICES, tariff },
      'local',
      AT,
    ).values();
    expect(nanoOf(receipt?.cost.amount ?? 0)).toBe(12458n);
  });

  it('are the same however often they are computed', () => {
    const batch = batchOf([{}, { steps: 7 }, { steps: 3 }]);
    const once = receiptsFor(batch, resultOf(batch, metered(12_345)), PRICES, 'local', AT);
    expect(receiptsFor(batch, resultOf(batch, metered(12_345)), PRICES, 'local', AT)).toEqual(once);
  });
});

describe('the receipt of an overhead', () => {
  it('is a receipt of the same engine with time and energy of its own', () => {
    const batch = batchOf([{}, {}], 'cpu');
    const [like] = receiptsFor(batch, resultOf(batch, NO_METER, { steps: null }), PRICES, 'local', AT).values();
    if (like === undefined) throw new Error('no receipt');
    expect(overheadReceipt(like, { seconds: 2, energy: NO_METER }, PRICES, AT)).toEqual({
      ...like,
      seconds: { share: 2, batch: 2, method: 'measured' },
      peak_memory_bytes: { value: null, method: 'unknown' },
      energy: { joules: 130, method: 'assumed', meter: 'model', flags: ['configured_watts'] },
      cost: { amount: 0.000010833, currency: 'EUR', method: 'assumed' },
    });
  });
});
