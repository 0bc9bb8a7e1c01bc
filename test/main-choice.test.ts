import { expect, it } from 'vitest';
import { choicePartsFor } from '../src/main-choice.ts';
import type { Device, Gpu, LearnedLimit, Measurement } from '../src/ports.ts';
import { MemoryStore } from '../src/store/memory.ts';

const CARD: Device = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-1', name: 'a card' };
const CPU: Device = { id: 'cpu', kind: 'cpu', uuid: null, name: 'CPU' };
const GPU: Gpu = {
  vendor: 'nvidia',
  name: 'a card',
  index: 0,
  uuid: 'GPU-1',
  driver: null,
  memory: 24e9,
  memoryUsed: 1e9,
  power: null,
  powerLimit: null,
};
const KIND = { device: 'GPU-1', model: 'm', engine: '000000000000', shape: '64x64' };
const LIMIT: LearnedLimit = { ...KIND, limit: 2, at: 1 };
const MEASUREMENT: Measurement = { ...KIND, batch: 1, stepSeconds: 1, otherSeconds: 1, peakBytes: 1, count: 1, at: 1 };
const CONFIG = { batchLimit: null, memoryReserveMb: null, presets: [] };

it('a choice knows what the store has, and the store learns what the choice does', async () => {
  const store = new MemoryStore();
  await store.learn(LIMIT);
  await store.measure(MEASUREMENT);
  const parts = await choicePartsFor(worldOf({ store }));
  expect([parts.memory?.known, parts.measurements?.known]).toEqual([[LIMIT], [MEASUREMENT]]);
  parts.memory?.learn({ ...LIMIT, limit: 0 });
  parts.measurements?.note({ ...MEASUREMENT, batch: 2 });
  expect((await store.limits()).map(({ limit }) => limit)).toEqual([0]);
  expect((await store.measurements()).map(({ batch }) => batch)).toEqual([1, 2]);
});

it('a choice knows the memory of the cards, without what a worker takes for itself, where cards are used and can be read', async () => {
  const parts = await choicePartsFor(worldOf({ devices: [CARD] }));
  expect(parts.rooms?.cards?.known).toEqual(new Map([['GPU-1', { free: 22.5e9, total: 24e9 }]]));
  const broken = { gpus: async () => Promise.reject(new Error('nvidia-smi does not answer')) };
  const dark = await choicePartsFor(worldOf({ devices: [CARD], telemetry: broken }));
  expect([dark.rooms?.cards?.known, await dark.rooms?.cards?.look()]).toEqual([new Map(), new Map()]);
  const unused = await choicePartsFor(worldOf({ telemetry: broken }));
  expect([unused.rooms?.cards, unused.spills]).toEqual([undefined, false]);
});

it('a choice holds to what the configuration says', async () => {
  const told = await choicePartsFor(worldOf({ config: { ...CONFIG, batchLimit: 8, memoryReserveMb: 500 } }));
  expect([told.limit, told.rooms?.reserve]).toEqual([8, 500_000_000]);
  const untold = await choicePartsFor(worldOf({}));
  expect([untold.limit, untold.rooms?.reserve]).toEqual([undefined, null]);
});

type World = Parameters<typeof choicePartsFor>[0];

function worldOf(change: Partial<World>): World {
  const telemetry = { gpus: async () => [GPU] };
  return { config: CONFIG, devices: [CPU], store: new MemoryStore(), telemetry, log: () => {}, ...change };
}
