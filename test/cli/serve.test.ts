import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serve } from '../../src/cli/serve.ts';
import { submit } from '../../src/cli/submit.ts';
import { StorageError } from '../../src/errors.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { type Command, House } from './house.ts';

/** A store that refuses some of its calls for a while. */
class SickStore extends MemoryStore {
  fault: StorageError | null = null;

  override async markQueued(runId: string, jobIds?: readonly string[]): Promise<void> {
    if (this.fault !== null) throw this.fault;
    await super.markQueued(runId, jobIds);
  }

  override async sequence(): Promise<number> {
    if (this.fault !== null) throw this.fault;
    return super.sequence();
  }
}

let house: House;
let store: SickStore;
let server: Command;
beforeEach(() => {
  house = new House({
    store: (clock) => {
      store = new SickStore(clock);
      return store;
    },
    env: { KILNWATT_NOTIFY_STALLED_MINUTES: '1' },
  });
});
afterEach(() => house.close());

async function serving(launch = 'server') {
  server = house.command(launch);
  const ending = server.ending(serve(server.app, { interrupts: server, json: true }));
  await house.until(() => server.io.errors.some((line) => line.startsWith('Serving ')), 'serving');
  return ending;
}

async function submitted(name: string, n: number): Promise<void> {
  const user = house.command(`submit ${name}`);
  await submit(user.app, ['a cat'], { name, n, fields: [], order: 'breadth', tag: {}, interrupts: user });
  user.die();
}

const fault = (code: string) => new StorageError('the disk refuses', { code });
const told = () => server.notifier.told.map(({ kind, line }) => `${kind}: ${line.split(', ')[0]}`);

describe('a store that refuses a look of serve', () => {
  it.each(['disk_full', 'not_writable', 'store_busy'])('(%s) is asked again until it does not', async (code) => {
    house.rests = true;
    const ending = await serving();
    await submitted('a', 2);
    store.fault = fault(code);
    await house.letPass(30_000);
    expect([ending.over(), ending.error]).toEqual([false, undefined]);
    store.fault = null;
    house.rests = false;
    await house.until(async () => (await house.done('a')) === 2);
    server.interrupt();
    await house.until(ending.over);
    expect([ending.value, ending.error]).toEqual([0, undefined]);
  });

  it('for good ends it, and what it had in hand is given back: the next one can be the owner', async () => {
    house.rests = true;
    const ending = await serving();
    await submitted('a', 3);
    await house.until(async () => (await house.states('a')).queued === 3);
    store.fault = fault('store_gone');
    await house.until(ending.over);
    expect(ending.error).toMatchObject({ code: 'store_gone' });
    store.fault = null;
    // It waits for every job that is in hand.
    await house.queue.close();
    expect(house.owner).toBeNull();
    expect(await house.states('a')).toEqual({ queued: 3 });
  });
});

describe('what serve tells of a run', () => {
  it('is its end, once', async () => {
    await serving();
    await submitted('a', 2);
    await house.until(() => server.kinds.length > 0);
    await house.letPass(10_000);
    expect(told()).toEqual(['done: 2/2']);
  });

  it('is not that it is done where the user took the rest out', async () => {
    await serving();
    await submitted('a', 4);
    await house.until(async () => (await house.done('a')) > 0);
    const rows = await store.jobsOf((await store.runByName('a'))?.id ?? '');
    await store.cancel(rows.map(({ id }) => id));
    await house.letPass(10_000);
    expect(told()).toEqual([]);
  });

  it('is no stall while its devices rest', async () => {
    house.rests = true;
    await serving();
    await submitted('a', 2);
    await house.letPass(180_000);
    expect(server.kinds).toEqual([]);
    house.rests = false;
    await house.until(() => server.kinds.length > 0);
    expect(server.kinds).toEqual(['done']);
  });

  it('is no stall while it is held, also after a pause of the user and a restart', async () => {
    const ending = await serving();
    await submitted('a', 3);
    await house.letPass(500);
    await store.hold((await store.runByName('a'))?.id ?? '', 'three pictures stayed black');
    await house.letPass(1_000);
    await store.setPause({ since: house.clock.now(), until: null, now: false });
    await house.letPass(1_000);
    await store.setPause(null);
    await house.letPass(180_000);
    expect(server.kinds).toEqual(['paused', 'paused']);
    server.interrupt();
    await house.until(ending.over);
    house.queue = new MemoryQueue();
    await serving('second');
    await house.letPass(180_000);
    expect(server.kinds).toEqual([]);
    await store.resume((await store.runByName('a'))?.id ?? '');
    await house.until(() => server.kinds.length > 0);
    expect(told()).toEqual(['done: 3/3']);
  });
});

describe('a pause that runs out', () => {
  it('ends by itself, and not one that was said while it ran out', async () => {
    await serving();
    const first = { since: house.clock.now(), until: house.clock.now() + 60_000, now: false };
    await store.setPause(first);
    await house.letPass(1_000);
    const news = store.news.bind(store);
    const second = { since: house.clock.now() + 1, until: null, now: false };
    store.news = async (seq) => {
      const said = await news(seq);
      // Between the look and what it leads to.
      if (house.clock.now() >= first.until && said.pause?.since === first.since) await store.setPause(second);
      return said;
    };
    await house.letPass(70_000);
    expect((await news(0)).pause).toEqual(second);
    await submitted('a', 1);
    await house.letPass(10_000);
    expect(await house.done('a')).toBe(0);
  });

  it('that cannot be written down holds up nothing else', async () => {
    await serving();
    store.endPause = async () => {
      throw fault('disk_full');
    };
    await store.setPause({ since: house.clock.now(), until: house.clock.now() + 60_000, now: false });
    await submitted('a', 2);
    await house.letPass(70_000);
    await house.until(async () => (await house.done('a')) === 2);
  });
});
