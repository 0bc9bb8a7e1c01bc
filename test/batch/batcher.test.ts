import { describe, expect, it } from 'vitest';
import { Batcher, type BatcherOptions } from '../../src/batch/batcher.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Item {
  readonly key: string;
  readonly number: number;
  readonly rank?: number;
}

interface Ride {
  readonly items: readonly Item[];
  readonly key: string;
  readonly device: string;
  end(answers?: readonly (Error | undefined)[]): void;
  fail(reason: Error): void;
}

/** A batcher whose batches end when the test says so. */
function station(options: Partial<BatcherOptions<Item>> = {}) {
  const clock = new ManualClock();
  const rides: Ride[] = [];
  const batcher = new Batcher<Item>({
    timer: clock,
    devices: ['cpu'],
    keyOf: (item) => item.key,
    modelOf: () => 'm',
    rankOf: (item) => item.rank ?? 0,
    limit: () => 4,
    resident: () => 'm',
    closedFor: () => 0,
    run: (items, key, device) =>
      new Promise((resolve, reject) => {
        rides.push({
          items,
          key,
          device,
          end: (answers = items.map(() => undefined)) => resolve(answers),
          fail: reject,
        });
      }),
    ...options,
  });
  const submit = (key: string, ...numbers: number[]) => numbers.map((number) => batcher.submit({ key, number }));
  return { clock, rides, batcher, submit };
}

const numbersOf = (ride: Ride | undefined) => ride?.items.map((item) => item.number);

/** Lets promises that are settled run their course. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('Batcher', () => {
  it('waits a moment for company, then goes with whoever is there', () => {
    const { clock, rides, submit } = station();
    submit('a', 1, 2, 3);
    clock.advance(19);
    expect(rides).toHaveLength(0);
    clock.advance(1);
    expect(numbersOf(rides[0])).toEqual([1, 2, 3]);
  });

  it('waits longer where a load comes first, because company costs nothing then', () => {
    const { clock, rides, submit } = station({ resident: () => null });
    submit('a', 1);
    clock.advance(249);
    expect(rides).toHaveLength(0);
    clock.advance(1);
    expect(rides).toHaveLength(1);
  });

  it('does not wait once the window is full', () => {
    const { rides, submit } = station();
    submit('a', 1, 2, 3, 4, 5, 6, 7, 8);
    expect(numbersOf(rides[0])).toEqual([1, 2, 3, 4]);
  });

  it('never mixes keys and keeps the order inside a key', async () => {
    const { clock, rides, submit } = station();
    submit('a', 1, 3);
    submit('b', 2);
    submit('a', 5);
    clock.advance(20);
    expect(rides.map((ride) => [ride.key, numbersOf(ride)])).toEqual([['a', [1, 3, 5]]]);
    rides[0]?.end();
    await settled();
    clock.advance(20);
    expect(rides[1]?.key).toBe('b');
  });

  it('waits for the refill after a batch, so that an urgent job does not miss the next one', async () => {
    const { clock, rides, submit } = station();
    submit('a', 1, 2, 3, 4, 5);
    clock.advance(20);
    rides[0]?.end();
    await settled();
    expect(rides).toHaveLength(1);
    submit('a', 6);
    clock.advance(20);
    expect(numbersOf(rides[1])).toEqual([5, 6]);
  });

  it('answers each item alone: one failure does not touch its neighbours', async () => {
    const { clock, rides, submit } = station();
    const promises = submit('a', 1, 2, 3);
    clock.advance(20);
    rides[0]?.end([undefined, new Error('black picture'), undefined]);
    const answers = await Promise.allSettled(promises);
    expect(answers.map((answer) => answer.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  it('rejects every item when the batch as a whole fails, and goes on with the next', async () => {
    const { clock, rides, submit } = station();
    const promises = submit('a', 1, 2);
    clock.advance(20);
    rides[0]?.fail(new Error('gone'));
    expect((await Promise.allSettled(promises)).map((answer) => answer.status)).toEqual(['rejected', 'rejected']);
    submit('a', 3);
    clock.advance(20);
    expect(numbersOf(rides[1])).toEqual([3]);
  });

  it('releases what has not begun and lets the running batch finish', async () => {
    const { clock, rides, batcher, submit } = station();
    const promises = submit('a', 1, 2, 3, 4, 5, 6);
    clock.advance(20);
    expect(batcher.release(new Error('handed back'))).toBe(2);
    rides[0]?.end();
    const answers = await Promise.allSettled(promises);
    expect(answers.map((answer) => answer.status)).toEqual([...Array(4).fill('fulfilled'), 'rejected', 'rejected']);
  });

  it('withdraws an item that is cancelled while it waits, but not one that travels', async () => {
    const { clock, rides, batcher } = station();
    const [first, second] = [new AbortController(), new AbortController()];
    const gone = batcher.submit({ key: 'a', number: 1 }, first.signal);
    const stays = batcher.submit({ key: 'a', number: 2 }, second.signal);
    first.abort(new Error('cancelled'));
    await expect(gone).rejects.toThrow('cancelled');
    clock.advance(20);
    second.abort(new Error('too late'));
    expect(numbersOf(rides[0])).toEqual([2]);
    rides[0]?.end();
    await expect(stays).resolves.toBeUndefined();
  });

  it('listens to no signal of an item that is settled, or such signals would pile up', async () => {
    const { clock, rides, batcher } = station();
    const controller = new AbortController();
    let listeners = 0;
    const { signal } = controller;
    const counting = new Proxy(signal, {
      get(target, name) {
        if (name === 'addEventListener') listeners += 1;
        if (name === 'removeEventListener') listeners -= 1;
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const made = batcher.submit({ key: 'a', number: 1 }, counting);
    const released = batcher.submit({ key: 'b', number: 2 }, counting);
    clock.advance(20);
    batcher.release(new Error('handed back'));
    rides[0]?.end();
    await Promise.allSettled([made, released]);
    expect(listeners).toBe(0);
  });

  it('stays with a loaded model over several slow batches, and does not load for each', async () => {
    let loaded = 'm0';
    const { clock, rides, submit } = station({
      modelOf: (item) => item.key,
      resident: () => loaded,
    });
    submit('m0', ...Array.from({ length: 40 }, (_, at) => at));
    submit('m1', ...Array.from({ length: 40 }, (_, at) => 100 + at));
    clock.advance(20);
    for (let batch = 0; batch < 20; batch += 1) {
      clock.advance(90_000);
      rides[batch]?.end();
      await settled();
      clock.advance(20);
      loaded = rides.at(-1)?.key ?? loaded;
    }
    const keys = rides.map((ride) => ride.key);
    const loads = keys.filter((key, at) => at > 0 && key !== keys[at - 1]).length;
    expect(keys).toHaveLength(20);
    expect(new Set(keys)).toEqual(new Set(['m0', 'm1']));
    expect(loads).toBeLessThanOrEqual(3);
  });

  it('keeps every device busy', () => {
    const { clock, rides, submit } = station({ devices: ['cuda:0', 'cuda:1'] });
    submit('a', 1, 2, 3, 4, 5, 6);
    clock.advance(20);
    expect(rides.map((ride) => [ride.device, numbersOf(ride)])).toEqual([
      ['cuda:0', [1, 2, 3, 4]],
      ['cuda:1', [5, 6]],
    ]);
  });

  it('widens the window with the number of live keys', () => {
    const windows: number[] = [];
    const { submit } = station({ onWindow: (window) => windows.push(window) });
    submit('a', 1);
    submit('b', 2);
    submit('c', 3);
    expect(windows).toEqual([8, 16, 24]);
  });

  it('lets an urgent item go first as soon as the running batch has ended', async () => {
    const { clock, rides, batcher, submit } = station();
    submit('bulk', 1, 2, 3, 4, 5, 6, 7, 8);
    void batcher.submit({ key: 'urgent', number: 9, rank: -1 });
    clock.advance(20);
    rides[0]?.end();
    await settled();
    clock.advance(20);
    expect(rides.map((ride) => numbersOf(ride))).toEqual([[1, 2, 3, 4], [9]]);
  });

  it('gives a closed device nothing, looks again when its time is over, and lets the others go on', async () => {
    const open = { a: 0, b: 5_000 };
    const { clock, rides, submit } = station({
      devices: ['a', 'b'],
      closedFor: (device) => Math.max(0, open[device as 'a' | 'b'] - clock.monotonic()),
    });
    submit('k', 1, 2, 3, 4, 5, 6);
    clock.advance(4_999);
    expect(rides.map((ride) => ride.device)).toEqual(['a']);
    clock.advance(1);
    expect(rides.map((ride) => [ride.device, numbersOf(ride)])).toEqual([
      ['a', [1, 2, 3, 4]],
      ['b', [5, 6]],
    ]);
  });

  it('waits without a timer for a device that is closed until somebody looks', () => {
    let shut = true;
    const { clock, rides, batcher, submit } = station({ closedFor: () => (shut ? Number.POSITIVE_INFINITY : 0) });
    submit('k', 1);
    clock.advance(60_000);
    expect([rides.length, clock.waiting]).toEqual([0, 0]);
    shut = false;
    batcher.look();
    expect(numbersOf(rides[0])).toEqual([1]);
  });

  it('keeps its promises under any order of arrivals, ends, cancellations and closures', async () => {
    for (let seed = 1; seed <= 60; seed += 1) await randomShift(seed);
  });
});

const DEVICES = ['x', 'y'];
const KEYS = ['k0', 'k1', 'k2', 'k3'];
/** Two keys of a model, and the last one urgent. */
const modelOf = (key: string) => (key === 'k0' || key === 'k1' ? 'm' : 'n');
const rankOf = (key: string) => (key === 'k3' ? 0 : 1);
const PATIENCE = 400;

interface Shift {
  readonly rides: readonly Ride[];
  /** When each ride began, and what of higher rank and how old it left waiting. */
  readonly answers: readonly string[];
}

/** Items settle once; batches are homogeneous, within size, in order, never on a closed device, and nobody starves. */
async function randomShift(seed: number): Promise<void> {
  const { rides, answers } = await workShift(seed);
  const told = `seed ${seed}`;
  expect(answers, told).toHaveLength(200);
  const travelled = rides.flatMap((ride) => ride.items.map((item) => item.number));
  expect(new Set(travelled).size, told).toBe(travelled.length);
  expect(answers.filter((answer) => answer !== 'cancelled').length, told).toBe(travelled.length);
  for (const ride of rides) {
    expect(ride.items.length, told).toBeLessThanOrEqual(4);
    expect(new Set(ride.items.map((item) => item.key)).size, told).toBe(1);
  }
  for (const key of KEYS) {
    const order = rides.filter((ride) => ride.key === key).flatMap((ride) => ride.items.map((item) => item.number));
    expect(order, told).toEqual([...order].sort((a, b) => a - b));
  }
}

async function workShift(seed: number): Promise<Shift> {
  const random = generator(seed);
  const closed = new Set<string>();
  const since = new Map<number, number>();
  const resident = new Map<string, string>();
  const faults: string[] = [];
  const { clock, rides, batcher } = station({
    devices: DEVICES,
    patience: PATIENCE,
    modelOf: ({ key }) => modelOf(key),
    rankOf: ({ key }) => rankOf(key),
    resident: (device) => resident.get(device) ?? null,
    closedFor: (device) => (closed.has(device) ? Number.POSITIVE_INFINITY : 0),
  });
  const ended = new Set<Ride>();
  let seen = 0;
  /** Looks at each ride as it begins: who was left behind, and had the right to go before? */
  const inspect = () => {
    for (; seen < rides.length; seen += 1) {
      const ride = rides[seen];
      const [head] = ride?.items ?? [];
      if (ride === undefined || head === undefined) continue;
      for (const item of ride.items) waiting.delete(item.number);
      if (closed.has(ride.device)) faults.push(`${ride.device} is closed`);
      const left = [...waiting.values()];
      if (left.some((item) => rankOf(item.key) < rankOf(head.key)))
        faults.push(`${head.key} went before an urgent one`);
      const age = (item: Item) => clock.monotonic() - (since.get(item.number) ?? 0);
      const oldest = left
        .filter((item) => rankOf(item.key) === rankOf(head.key))
        .toSorted((a, b) => age(b) - age(a))[0];
      // Twice the longest batch is what the patience may have been stretched to.
      if (oldest !== undefined && age(oldest) > PATIENCE + STRETCH && age(head) < age(oldest))
        faults.push(`${oldest.key} has waited ${age(oldest)} ms while ${head.key} went`);
      resident.set(ride.device, modelOf(ride.key));
    }
  };
  const waiting = new Map<number, Item>();
  const outcomes: Promise<string>[] = [];
  const controllers: AbortController[] = [];
  const endOne = () => {
    const running = rides.filter((ride) => !ended.has(ride));
    const ride = running[Math.floor(random() * running.length)];
    if (ride === undefined) return;
    ended.add(ride);
    if (random() < 0.2) ride.fail(new Error('died'));
    else ride.end();
  };
  const toggle = () => {
    const device = DEVICES[Math.floor(random() * DEVICES.length)] ?? 'x';
    if (!closed.delete(device)) closed.add(device);
    batcher.look();
  };
  const submit = (number: number) => {
    const controller = new AbortController();
    controllers.push(controller);
    const item = { key: KEYS[Math.floor(random() * KEYS.length)] ?? 'k0', number };
    waiting.set(number, item);
    since.set(number, clock.monotonic());
    outcomes.push(
      batcher.submit(item, controller.signal).then(
        () => 'made',
        (error: Error) => {
          waiting.delete(number);
          return error.message;
        },
      ),
    );
  };
  for (let number = 0; number < 200; number += 1) {
    submit(number);
    if (random() < 0.3) clock.advance(Math.floor(random() * 25));
    inspect();
    if (random() < 0.3) endOne();
    if (random() < 0.05) toggle();
    if (random() < 0.1) controllers[Math.floor(random() * controllers.length)]?.abort(new Error('cancelled'));
    await settled();
    inspect();
  }
  closed.clear();
  batcher.look();
  for (let round = 0; round < 400; round += 1) {
    clock.advance(25);
    endOne();
    await settled();
    inspect();
  }
  expect(faults, `seed ${seed}`).toEqual([]);
  return { rides, answers: await Promise.all(outcomes) };
}

/** Batches end at random here, and the patience grows with the time that the last one took. */
const STRETCH = 25_000;

/** Park and Miller's generator: the same seed, the same shift. */
function generator(seed: number): () => number {
  let state = seed * 7919;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
