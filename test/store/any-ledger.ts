import { QUARTER_MS } from '../../src/cost/local-days.ts';
import type { Charge, EnergyFlag, Entry, Receipt, Store, Stretch } from '../../src/ports.ts';
import { METHODS } from '../../src/units.ts';
import type { Rng } from '../support/rng.ts';
import { CARD, chargeOf, stretchOf } from './ledger-samples.ts';
import { activeEntry, receiptOf } from './samples.ts';

/** All times of {@link bookAnything} end in it, or a moment before. */
export const DAY = { from: Date.UTC(2026, 10, 1), to: Date.UTC(2026, 10, 2) };

/** Rows of every kind over a day, with few different values, so that many of them agree. */
export async function bookAnything(store: Store, random: Rng): Promise<void> {
  const entries = Array.from({ length: 150 }, (_, number) => anyEntry(random, number));
  await store.settle({ batchId: 'b', at: 1, entries, jobs: [] });
  await store.meter({ marks: [], stretches: Array.from({ length: 100 }, (_, number) => anyStretch(random, number)) });
  await store.charge(Array.from({ length: 50 }, (_, number) => anyCharge(random, number)));
}

function pick<T>(random: Rng, ...values: readonly [T, ...T[]]): T {
  return values[Math.floor(random() * values.length)] ?? values[0];
}

/** Often exactly at the begin of a quarter of an hour. */
function anyTime(random: Rng): number {
  return someQuarter(random) + pick(random, 0, 0, 1, Math.floor(random() * QUARTER_MS));
}

function anyMoney(random: Rng): Receipt['cost'] {
  const method = pick(random, ...METHODS);
  const amount = method === 'unknown' ? null : Math.floor(random() * 1e6) / 1e9;
  return { amount, currency: pick(random, 'EUR', 'USD'), method };
}

function anyEntry(random: Rng, number: number): Entry {
  const method = pick(random, ...METHODS);
  const joules = method === 'unknown' ? null : Math.floor(random() * 1e6) / 1000;
  const to = anyTime(random);
  const receipt = receiptOf('b', {
    provider: pick(random, 'local', 'fake'),
    model: pick(random, 'sdxl', 'flux'),
    preset: pick(random, 'auto', 'fast'),
    energy: {
      joules,
      method,
      meter: 'nvml_counter',
      flags: anyFlags(random),
      ...(random() < 0.5 && { bound_joules: 0.5 }),
    },
    cost: anyMoney(random),
  });
  return activeEntry(pick(random, 'r1', 'r2'), `job-${number}`, 'b', {
    at: anyTime(random),
    receipt,
    tags: pick<Entry['tags']>(
      random,
      {},
      { client: 'acme', kind: 'x' },
      { kind: 'x', client: 'acme' },
      { 10: 'a', 9: 'ü"' },
    ),
    ...(random() < 0.3 && { kind: 'overhead', cause: pick(random, 'load', 'failed'), jobId: null, runId: null }),
    ...(random() < 0.7 && { span: { gpu: pick(random, CARD, 'GPU-2', null), from: to - pick(random, 0, 7_000), to } }),
  });
}

function anyFlags(random: Rng): readonly EnergyFlag[] {
  return pick<readonly EnergyFlag[]>(random, [], [], ['coarse'], ['coarse', 'sharing_unknown'], ['sharing_unknown']);
}

function anyStretch(random: Rng, number: number): Stretch {
  const method = pick(random, ...METHODS);
  const to = anyTime(random);
  return stretchOf(to - pick(random, 0, 1, 5_000), to, {
    id: `s-${number}`,
    gpu: pick(random, CARD, 'GPU-2'),
    ...pick<Pick<Stretch, 'kind' | 'cause'>>(
      random,
      { kind: 'idle', cause: 'resident' },
      { kind: 'foreign', cause: 'load' },
      { kind: 'unknown', cause: 'off' },
    ),
    millijoules: method === 'unknown' ? null : Math.floor(random() * 1e5),
    bound: pick(random, null, 200),
    method,
    cost: anyMoney(random),
    corrects: pick(random, null, null, 's-0'),
  });
}

function anyCharge(random: Rng, number: number): Charge {
  const amount = Math.floor(random() * 1e12) / 1e9;
  return chargeOf(`c-${number}`, {
    at: anyTime(random),
    service: pick(random, 'runpod', 'midjourney'),
    amount,
    unitCost: amount,
    tags: pick<Charge['tags']>(random, {}, { client: 'acme' }),
    ...pick<Partial<Charge>>(random, {}, { kind: 'credit', amount: -amount }, { kind: 'correction', corrects: 'c-0' }),
  });
}

export function someQuarter(random: Rng): number {
  return DAY.from + Math.floor(random() * 96) * QUARTER_MS;
}
