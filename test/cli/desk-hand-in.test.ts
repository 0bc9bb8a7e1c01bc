import { beforeEach, describe, expect, it } from 'vitest';
import { commandElsewhere, commandFromElsewhere, handIn } from '../../src/cli/desk-hand-in.ts';
import type { RunStarted } from '../../src/cli/run-events.ts';
import { loadConfig } from '../../src/config.ts';
import { ConfigError, HandedBack, InputError, UnavailableError } from '../../src/errors.ts';
import { MemoryDesk } from '../../src/queue/desk-memory.ts';
import type { Ask } from '../../src/submission.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { askHere } from './desk-samples.ts';
import { keptIo } from './kept-io.ts';

const loaded = loadConfig({
  flags: { redis_url: 'redis://:secret@box:6380/3', queue: 'shared' },
  env: { HOME: '/home/user' },
  cwd: '/home/user',
});
const STARTED: RunStarted = {
  event: 'run',
  run: '01993f2e-7c1a-7000-8000-000000000001',
  name: 'far',
  resumed: false,
  jobs: 2,
  to_make: 2,
  cached: 0,
  failed: 0,
  removed: 0,
  out_dir: '/pictures/far',
};

let clock: ManualClock;
let desk: MemoryDesk;
let io: ReturnType<typeof keptIo>;
let count: number;
let taken: boolean;
beforeEach(() => {
  clock = new ManualClock();
  desk = new MemoryDesk(clock);
  io = keptIo();
  count = 0;
  taken = false;
});

function submitting(change: Partial<Ask> = {}): Promise<RunStarted> {
  const interrupts = {
    take: () => {
      taken = true;
    },
    count: () => count,
  };
  return handIn({ desk, loaded, io, clock, interrupts }, askHere(change, loaded), {});
}

/** Lets what is due happen, for so long. */
async function pass(millis: number): Promise<void> {
  for (let passed = 0; passed < millis; passed += 100) {
    await new Promise<void>((next) => setImmediate(next));
    clock.advance(100);
  }
  await new Promise<void>((next) => setImmediate(next));
}

const failure = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);

describe('handing a run in', () => {
  it('returns what whoever serves answers', async () => {
    await desk.attend(async () => STARTED);
    expect(await submitting()).toEqual(STARTED);
    expect(io.errors).toEqual([]);
  });

  it('says after a while what it waits for, and after half a minute that nobody serves, without the password', async () => {
    const ended = failure(submitting());
    await pass(2_900);
    expect(io.errors).toEqual([]);
    await pass(200);
    expect(io.errors).toEqual(['Waiting for the kilnwatt that serves the queue shared …']);
    await pass(27_000);
    const error = await ended;
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({
      code: 'nobody_serves',
      message:
        'nobody serves the queue shared at redis://:***@box:6380/3: the run lay there for 30 s and was taken back. ' +
        'On the host with the card: KILNWATT_QUEUE=shared kilnwatt serve --redis-url redis://:***@box:6380/3',
    });
    expect(clock.waiting).toBe(0);
  });

  it('takes the run back at Ctrl-C, which it only takes over once something is handed in', async () => {
    expect(taken).toBe(false);
    const ended = failure(submitting());
    await pass(1_000);
    expect(taken).toBe(true);
    count = 1;
    await pass(200);
    expect(await ended).toMatchObject({
      code: 'interrupted',
      message: 'interrupted; the run was taken back, and none of it is made',
    });
  });

  it('says at Ctrl-C that the run may be made where somebody has begun with it', async () => {
    await desk.attend(() => new Promise(() => {}));
    const ended = failure(submitting());
    await pass(40_000);
    count = 1;
    await pass(200);
    expect(await ended).toMatchObject({
      code: 'interrupted',
      message: expect.stringMatching(
        /^interrupted; whoever serves the queue shared may have the run, and then makes it/,
      ),
    });
  });

  it('says where to look before another try, once whoever had begun with it is gone for half a minute', async () => {
    const refusals: ((error: Error) => void)[] = [];
    const attendance = await desk.attend(() => new Promise((_resolve, reject) => refusals.push(reject)));
    const ended = failure(submitting({ name: 'night' }));
    await pass(40_000);
    const stop = attendance.stop();
    refusals[0]?.(new HandedBack());
    await stop;
    await pass(30_200);
    const error = await ended;
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({
      code: 'server_gone',
      message:
        'whoever served the queue shared had begun with it and is gone: ask `kilnwatt runs ls` there whether night ' +
        'was taken before submitting again',
    });
    expect(clock.waiting).toBe(0);
  });

  it('passes a refusal on, and does not believe an answer of another version', async () => {
    const attendance = await desk.attend(async () => {
      throw new InputError('is too wide', { code: 'bad_size', place: 'p.txt:2' });
    });
    expect(await failure(submitting())).toMatchObject({ message: 'p.txt:2: is too wide' });
    await attendance.stop();
    await desk.attend(async () => ({ ...STARTED, joules: 7 }));
    expect(await failure(submitting())).toBeInstanceOf(ConfigError);
  });
});

it('the command for another host names the queue and hides the password', () => {
  expect(commandElsewhere(loaded.config, 'submit FILE')).toBe(
    'KILNWATT_QUEUE=shared kilnwatt submit FILE --redis-url redis://:***@box:6380/3',
  );
});

describe('what serve says to type on another host', () => {
  const said = (redisUrl: string) => commandFromElsewhere({ queue: 'shared', redisUrl }, 'submit FILE');

  it('is the command, where the address is one that other hosts reach', () => {
    expect(said('redis://box:6380/3')).toBe(
      'KILNWATT_QUEUE=shared kilnwatt submit FILE --redis-url redis://box:6380/3',
    );
  });

  it.each([
    ['unix:///run/redis.sock', 'redis://HOST:6379', 'unix:///run/redis.sock'],
    ['redis://127.0.0.1:6380/3', 'redis://HOST:6380/3', 'redis://127.0.0.1:6380/3'],
    ['rediss://:secret@localhost', 'rediss://:***@HOST', 'rediss://:***@localhost'],
    ['redis://[::1]:6379', 'redis://HOST:6379', 'redis://[::1]:6379'],
  ])('names no address that only this host reaches: %s', (url, shown, here) => {
    expect(said(url)).toBe(
      `KILNWATT_QUEUE=shared kilnwatt submit FILE --redis-url ${shown} (no other host reaches ${here}: ` +
        'let the server listen for others too, and put the name of this host in place of HOST)',
    );
  });
});
