import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runSession } from '../../src/cli/run-session.ts';
import { serve } from '../../src/cli/serve.ts';
import { StorageError, UnavailableError } from '../../src/errors.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { type Command, House } from './house.ts';

const cats = (count: number) => Array.from({ length: count }, (_, at) => `cat ${at}`);

let house: House;
let user: Command;
beforeEach(() => {
  house = new House({ env: { KILNWATT_NOTIFY_STALLED_MINUTES: '1' } });
  user = house.command('user');
});
afterEach(() => house.close());

const running = (count = 6) => user.ending(runSession(user.runOptions(cats(count), 'a')));
async function serving(): Promise<Command> {
  const server = house.command('server');
  server.ending(serve(server.app, { interrupts: server }));
  await house.until(() => server.io.errors.some((line) => line.startsWith('Serving ')), 'serving');
  return server;
}
const jobs = async () => house.store.jobsOf((await house.store.runByName('a'))?.id ?? '');
const ids = async (...indexes: readonly number[]) => {
  const rows = await jobs();
  return rows.filter(({ index }) => indexes.includes(index)).map(({ id }) => id);
};
const someDone = () => house.until(async () => (await house.done('a')) > 0, 'a picture');

it('whoever works keeps the prices that its entries name', async () => {
  const run = running(1);
  await house.until(run.over);
  const { receipt } = user.io.written.map((line) => JSON.parse(line)).find(({ event }) => event === 'image') ?? {};
  expect(await house.store.price(receipt.price)).toMatchObject({ id: receipt.price, source: 'default' });
});

describe('that a run is done is told', () => {
  it('when all of it is made, and when there was nothing to make', async () => {
    const first = running();
    await house.until(first.over);
    expect([first.value, user.kinds]).toEqual([0, ['done']]);
    user = house.command('again');
    const second = running();
    await house.until(second.over);
    expect([second.value, user.kinds]).toEqual([0, ['done']]);
  });

  it('when some of it failed, and some was cancelled on the way', async () => {
    await house.close();
    house = new House({ script: { failOn: 'cat 2', failCode: 'bad_request' } });
    user = house.command('user');
    const run = running();
    await house.until(async () => (await jobs()).length > 0);
    await house.store.cancel(await ids(1));
    await house.until(run.over);
    expect(await house.states('a')).toEqual({ done: 4, failed: 1, cancelled: 1 });
    expect(user.kinds).toEqual(['first_failure', 'done']);
  });

  it('not when Ctrl-C ended it', async () => {
    const run = running();
    await someDone();
    user.interrupt();
    await house.until(run.over);
    expect([run.value, user.kinds]).toEqual([130, []]);
  });

  it('not when its command leaves it to another process, nor when that finds it alone later, but at its end', async () => {
    const server = await serving();
    const run = running();
    await someDone();
    user.interrupt();
    await house.until(run.over);
    expect([run.value, user.kinds, server.kinds]).toEqual([130, [], []]);
    await house.until(() => server.kinds.length > 0);
    expect([await house.done('a'), server.kinds]).toEqual([6, ['done']]);
  });

  it('not when the rest was cancelled', async () => {
    const run = running();
    await someDone();
    await house.store.cancel((await jobs()).map(({ id }) => id));
    await house.until(run.over);
    expect([run.value, user.kinds]).toEqual([3, []]);
  });

  it('not when it is held, of which it tells', async () => {
    const run = running();
    await someDone();
    await house.store.hold((await jobs())[0]?.runId ?? '', 'three pictures stayed black');
    await house.until(run.over);
    expect([run.value, user.kinds]).toEqual([5, ['paused']]);
  });

  it('once, where a server makes the pictures and finds the command gone', async () => {
    const server = await serving();
    const run = running();
    await someDone();
    const sequence = house.store.sequence.bind(house.store);
    // The server does not get to look before the command has left.
    house.store.sequence = async () => {
      await house.until(run.over);
      return sequence();
    };
    await house.until(run.over);
    await house.letPass(20_000);
    expect([run.value, user.kinds, server.kinds]).toEqual([0, ['done'], []]);
  });
});

describe('what somebody else wants of a run', () => {
  it('is kept where its command ends: a job that was cancelled and is tried again is made', async () => {
    await serving();
    const run = running(8);
    await house.until(async () => (await jobs()).length > 0);
    await house.store.cancel(await ids(7, 8));
    await house.until(async () => (await house.done('a')) >= 4);
    expect(await house.store.retry(await ids(7, 8))).toHaveLength(2);
    await house.until(run.over);
    await house.until(async () => (await house.done('a')) === 8, 'the picture of every job');
  });

  it('is kept where its command is stopped while it works itself: the rest is for whoever serves', async () => {
    const run = running();
    await someDone();
    await house.store.cancel(await ids(6));
    await house.letPass(500);
    await house.store.retry(await ids(6));
    user.interrupt();
    await house.until(run.over);
    expect(run.value).toBe(130);
    const states = await house.states('a');
    expect([states.interrupted, states.submitting]).toEqual([undefined, 1]);
  });
});

describe('a command that fails in the middle', () => {
  it('gives back what it had in hand, also of others', async () => {
    house.rests = true;
    const run = running();
    const other = house.command('other');
    const attached = other.ending(runSession(other.runOptions(['a dog'], 'b')));
    await house.until(async () => (await house.states('b')).queued === 1);
    const [mine] = await jobs();
    const changedSince = house.store.changedSince.bind(house.store);
    house.store.changedSince = async (runId, seq) => {
      if (runId === mine?.runId) throw new StorageError('it is gone', { code: 'store_gone' });
      return changedSince(runId, seq);
    };
    await house.until(run.over);
    expect(run.error).toMatchObject({ code: 'store_gone' });
    // It waits for every job that is in hand.
    await house.queue.close();
    house.queue = new MemoryQueue();
    house.rests = false;
    await house.until(attached.over);
    expect(attached.value).toBe(0);
  });

  it('goes on where the store only refuses for a while', async () => {
    const run = running();
    await someDone();
    const changedSince = house.store.changedSince.bind(house.store);
    house.store.changedSince = async () => {
      throw new StorageError('the disk does not answer', { code: 'storage_failed' });
    };
    await house.letPass(2_000);
    house.store.changedSince = changedSince;
    await house.until(run.over);
    expect([run.value, run.error]).toEqual([0, undefined]);
  });
});

describe('a command beside the one that works', () => {
  it('hears and tells of a pause, once, and of no stall', async () => {
    await serving();
    const run = running();
    await someDone();
    await house.store.setPause({ since: house.clock.now(), until: null, now: false });
    await house.letPass(180_000);
    expect(user.kinds).toEqual(['paused']);
    expect(user.io.errors.filter((line) => line.startsWith('Paused until'))).toHaveLength(1);
    await house.store.setPause(null);
    await house.until(run.over);
    expect(user.io.errors).toContain('Going on.');
    expect(user.kinds).toEqual(['paused', 'done']);
  });

  it('heeds the pause itself when it takes over', async () => {
    const owner = house.command('owner');
    const first = owner.ending(runSession(owner.runOptions(['a dog'], 'b')));
    await house.until(async () => (await house.states('b')).running === 1);
    const run = running();
    await house.until(async () => (await jobs()).length > 0);
    await house.store.setPause({ since: house.clock.now(), until: null, now: false });
    await house.letPass(500);
    house.queue = new MemoryQueue();
    owner.interrupt();
    await house.until(first.over);
    await house.letPass(20_000);
    expect([await house.done('a'), run.over()]).toEqual([0, false]);
  });

  it('is no stall outside of the hours', async () => {
    const pad = (hour: number) => `${String(hour).padStart(2, '0')}:00`;
    const hour = new Date(house.clock.now()).getHours();
    await house.close();
    house = new House({
      env: { KILNWATT_NOTIFY_STALLED_MINUTES: '1', KILNWATT_HOURS: `${pad((hour + 3) % 24)}-${pad((hour + 4) % 24)}` },
    });
    house.rests = true;
    const server = await serving();
    user = house.command('user');
    running();
    await house.letPass(180_000);
    expect([user.kinds, server.kinds]).toEqual([[], []]);
  });

  it('is stopped by Ctrl-C while it waits for the queue of the owner, and takes back what it had submitted', async () => {
    house.owner = 'somebody';
    house.living.add('somebody');
    const run = running();
    // It is there when it is looked for, and gone when it is needed.
    house.queue.add = async () => {
      house.reachable = false;
      throw new UnavailableError('it has just left', { code: 'redis_unavailable' });
    };
    await house.until(() => user.io.errors.some((line) => line.startsWith('Waiting for the kilnwatt that owns')));
    user.interrupt();
    await house.until(run.over);
    expect(run.error).toMatchObject({ code: 'interrupted' });
    expect(await house.states('a')).toEqual({ interrupted: 6 });
  });
});
