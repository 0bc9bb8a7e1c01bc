import { describe, expect, it } from 'vitest';
import { Batcher, type BatcherOptions } from '../../src/batch/batcher.ts';
import { ManualClock } from '../support/manual-clock.ts';

interface Item {
  readonly key: string;
  readonly number: number;
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
    limit: () => 4,
    resident: () => 'm',
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
    expect(windows).toEqual([16, 24]);
  });

  it('settles every item exactly once under any order of arrivals, ends and cancellations', async () => {
    for (let seed = 1; seed <= 50; seed += 1) await randomShift(seed);
  });
});

async function randomShift(seed: number): Promise<void> {
  const random = generator(seed);
  const { clock, rides, batcher } = station({ devices: ['x', 'y'] });
  const outcomes: Promise<string>[] = [];
  const controllers: AbortController[] = [];
  const ended = new Set<Ride>();
  const endOne = () => {
    const running = rides.filter((ride) => !ended.has(ride));
    const ride = running[Math.floor(random() * running.length)];
    if (ride === undefined) return;
    ended.add(ride);
    if (random() < 0.2) ride.fail(new Error('died'));
    else ride.end();
  };
  for (let number = 0; number < 200; number += 1) {
    const controller = new AbortController();
    controllers.push(controller);
    const key = `k${Math.floor(random() * 3)}`;
    outcomes.push(
      batcher.submit({ key, number }, controller.signal).then(
        () => 'made',
        (error: Error) => error.message,
      ),
    );
    if (random() < 0.3) clock.advance(Math.floor(random() * 25));
    if (random() < 0.3) endOne();
    if (random() < 0.1) controllers[Math.floor(random() * controllers.length)]?.abort(new Error('cancelled'));
    if (random() < 0.2) await settled();
  }
  for (let round = 0; round < 400 && ended.size < rides.length + 1; round += 1) {
    clock.advance(25);
    endOne();
    await settled();
  }
  const answers = await Promise.all(outcomes);
  expect(answers).toHaveLength(200);
  const travelled = rides.flatMap((ride) => ride.items.map((item) => item.number));
  expect(new Set(travelled).size).toBe(travelled.length);
  expect(answers.filter((answer) => answer !== 'cancelled')).toHaveLength(travelled.length);
  for (const ride of rides) {
    expect(ride.items.length).toBeLessThanOrEqual(4);
    expect(new Set(ride.items.map((item) => item.key)).size).toBe(1);
  }
  for (const key of ['k0', 'k1', 'k2']) {
    const order = rides.filter((ride) => ride.key === key).flatMap((ride) => ride.items.map((item) => item.number));
    expect(order).toEqual([...order].sort((a, b) => a - b));
  }
}

/** Park and Miller's generator: the same seed, the same shift. */
function generator(seed: number): () => number {
  let state = seed * 7919;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
