import { totalmem } from 'node:os';
import { expect, it } from 'vitest';
import type { Device } from '../../src/ports.ts';
import { type CardMemory, Rooms, type RoomsOptions } from '../../src/provider/rooms.ts';
import type { WorkerMemory } from '../../src/worker/messages.ts';
import { MEMORY } from '../worker/fake-worker.ts';

const CARD: Device = { id: 'cuda:0', kind: 'cuda', uuid: 'GPU-1', name: 'a card' };
const OTHER: Device = { id: 'cuda:1', kind: 'cuda', uuid: 'GPU-2', name: 'another card' };
const CPU: Device = { id: 'cpu', kind: 'cpu', uuid: null, name: 'CPU' };
const SECOND: Device = { ...CPU, id: 'cpu:1' };

/** All in bytes that are easy to read. */
const HOST = { free: 600, total: 1_000 };
const TOLD: WorkerMemory = { ...MEMORY, rss_bytes: 90, peak_rss_bytes: 95, anonymous_bytes: 50 };
const ON_CARD = { ...TOLD, device_free_bytes: 10, device_total_bytes: 100, reserved_bytes: 80 };

it('a card has what is free and what its own worker holds; before one is there, what nvidia-smi says', () => {
  const rooms = roomsWith({ cards: cardsOf([['GPU-1', { free: 90, total: 100 }]]) });
  expect(rooms.of(CARD)).toEqual({ device: 90, host: 600, reserve: 10 });
  rooms.heard(CARD, ON_CARD);
  expect(rooms.of(CARD)).toEqual({ device: 90, host: 650, reserve: 10 });
  expect(rooms.of(OTHER)).toEqual({ device: null, host: 600, reserve: 0 });
});

it('what a worker held is free when it has ended', () => {
  const rooms = roomsWith({});
  rooms.heard(CARD, ON_CARD);
  rooms.gone(CARD);
  rooms.gone(CARD);
  expect(rooms.of(CARD)).toMatchObject({ device: 90, host: 600 });
});

it('a card is looked at anew before a load, unless a worker tells of it', async () => {
  let free = 90;
  const look = async () => new Map([['GPU-1', { free, total: 100 }]]);
  const rooms = roomsWith({ cards: { known: new Map(), look } });
  expect(rooms.of(CARD).device).toBeNull();
  await rooms.look(CARD);
  free = 20;
  await rooms.look(CARD);
  expect(rooms.of(CARD).device).toBe(20);
  rooms.heard(CARD, ON_CARD);
  await rooms.look(CARD);
  expect(rooms.of(CARD).device).toBe(90);
});

it('workers on a processor share one memory, in which each may have what is free and what it holds itself', () => {
  let free = 600;
  const rooms = roomsWith({ host: () => ({ free, total: 1_000 }) });
  expect(rooms.of(CPU)).toMatchObject({ device: 600, host: 600 });
  rooms.heard(CPU, { ...TOLD, anonymous_bytes: 200 });
  free = 400;
  expect([rooms.of(CPU).device, rooms.of(SECOND).device]).toEqual([600, 400]);
  rooms.gone(CPU);
  free = 600;
  expect([rooms.of(CPU).device, rooms.of(SECOND).device]).toEqual([600, 600]);
});

it('what a worker has mapped is not counted twice: the host counts it as free already', () => {
  // Weights of 300 are mapped from their file: they are resident, and caches that the host would drop.
  const rooms = roomsWith({ host: () => ({ free: 900, total: 1_000 }) });
  rooms.heard(CPU, { ...TOLD, rss_bytes: 350, anonymous_bytes: 50 });
  expect(rooms.of(CPU)).toMatchObject({ device: 950, host: 950 });
  rooms.heard(CPU, { ...TOLD, rss_bytes: 450, anonymous_bytes: 150 });
  expect(rooms.of(CPU)).toMatchObject({ device: 1_000, host: 1_000 });
});

it('what one device is about to load is not there for the others, until it has loaded it', () => {
  const rooms = roomsWith({ cards: cardsOf([['GPU-1', { free: 90, total: 100 }]]) });
  const forget = rooms.expect(CARD, 400);
  expect([rooms.of(CARD).host, rooms.of(CPU).host]).toEqual([600, 200]);
  forget();
  expect(rooms.of(CPU).host).toBe(600);
  rooms.expect(CARD, 400);
  rooms.heard(CARD, ON_CARD);
  expect(rooms.of(CPU).host).toBe(600);
});

it('what is withheld of a card is not there for a worker, and is in the reserve already', () => {
  const rooms = roomsWith({ cards: cardsOf([['GPU-1', { free: 90, total: 100 }]]), withheld: 4 });
  expect(rooms.of(CARD)).toMatchObject({ device: 86, reserve: 6 });
  expect(rooms.of(CPU)).toMatchObject({ device: 600, reserve: 100 });
});

it('the reserve is by size and kind of device, or as its user says', () => {
  const reserveOf: RoomsOptions['reserveOf'] = (total, kind) => total / 10 + (kind === 'cpu' ? 3 : 0);
  expect(roomsWith({ reserveOf }).of(CPU).reserve).toBe(103);
  expect(roomsWith({ reserveOf, cards: cardsOf([['GPU-1', { free: 1, total: 200 }]]) }).of(CARD).reserve).toBe(20);
  expect(roomsWith({ reserve: 7 }).of(CPU).reserve).toBe(7);
  expect(roomsWith({ reserve: 0 }).of(CARD).reserve).toBe(0);
});

it('the memory of this host is more than nothing, and not more than there is', () => {
  const { device, host } = new Rooms({ reserveOf: () => 0 }).of(CPU);
  expect(device).toBe(host);
  expect(host).toBeGreaterThan(1_000_000);
  expect(host).toBeLessThanOrEqual(process.constrainedMemory() || totalmem());
});

function roomsWith(options: Partial<RoomsOptions>): Rooms {
  return new Rooms({ host: () => HOST, reserveOf: (total) => total / 10, ...options });
}

function cardsOf(known: readonly (readonly [string, CardMemory])[]): RoomsOptions['cards'] & object {
  return { known: new Map(known), look: async () => new Map(known) };
}
