import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type AppError, UnavailableError } from '../../src/errors.ts';
import type { Exit } from '../../src/process/child.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { keepRunning } from '../../src/queue/keep-running.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON } from '../support/python.ts';
import { Hands } from './hands.ts';
import { idsOf, jobsOf } from './samples.ts';
import { hurried, limitedServer } from './server.ts';

let folder = '';
let stop = async () => {};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'keep-'));
});
afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A server that ends at once. */
const GONE: Valkey = {
  socketPath: '',
  pid: 0,
  version: '',
  exited: Promise.resolve({ code: 1, signal: null, error: null }),
  stop: async () => {},
};
const FULL = /the disk of the data folder is full; the server waits for room$/;
/** A disk that nobody fills. */
const ROOMY = { room: async () => true };

it('tries a first start again that somebody killed, and not one that cannot succeed', async () => {
  const log: string[] = [];
  const failing = async (retryable: boolean): Promise<number> => {
    const clock = new ManualClock();
    let starts = 0;
    const start = async (): Promise<Valkey> => {
      starts += 1;
      throw new UnavailableError('it ended with SIGKILL', { code: 'redis_unavailable', retryable });
    };
    const running = keepRunning({ start, clock, log: (line) => log.push(line), onLost: () => {}, ...ROOMY });
    const ended = running.then(
      () => 'up',
      () => 'failed',
    );
    for (let pass = 0; pass < 200; pass += 1) {
      clock.advance(1_000);
      await new Promise<void>((next) => setImmediate(next));
    }
    expect(await ended).toBe('failed');
    return starts;
  };
  expect(await failing(false)).toBe(1);
  expect(await failing(true)).toBe(5);
  expect(log).toHaveLength(4);
});

/**
 * Seen after a crash on a full disk: the next start did not ask for room, its server ended at once, and so a service
 * manager started and ended kilnwatt every ten seconds until somebody had made room.
 */
it('waits for room before the first start too, also where the disk becomes full during it', async () => {
  const clock = new ManualClock();
  let hasRoom = false;
  let starts = 0;
  const log: string[] = [];
  const start = async (): Promise<Valkey> => {
    starts += 1;
    if (starts > 1) return { ...GONE, exited: new Promise(() => {}) };
    hasRoom = false;
    throw new UnavailableError('it ended with code 1', { code: 'redis_unavailable' });
  };
  const pass = async (): Promise<void> => {
    for (let poll = 0; poll < 120; poll += 1) {
      clock.advance(5_000);
      await new Promise<void>((next) => setImmediate(next));
    }
  };
  const room = async () => hasRoom;
  const running = keepRunning({ start, clock, room, log: (line) => log.push(line), onLost: () => {} });
  await pass();
  expect(starts).toBe(0);
  hasRoom = true;
  await pass();
  expect(starts).toBe(1);
  hasRoom = true;
  await pass();
  stop = (await running).stop;
  expect(starts).toBe(2);
  const waits = expect.stringMatching(FULL);
  expect(log).toEqual([
    waits,
    expect.stringMatching(/^queue: the server did not come up \(it ended with code 1\)/),
    waits,
  ]);
});

it('starts a server again that was killed, on the same socket', async () => {
  const pids: number[] = [];
  const started = Promise.withResolvers<void>();
  const start = async () => {
    const server = await startValkey({
      dataDir: folder,
      socketPath: socketPathFor(folder, folder),
      python: PYTHON,
      clock: systemClock,
      log: () => {},
    });
    pids.push(server.pid);
    if (pids.length === 2) started.resolve();
    return server;
  };
  const kept = await keepRunning({ ...ROOMY, start, clock: systemClock, log: () => {}, onLost: started.reject });
  stop = () => kept.stop();
  process.kill(pids[0] ?? 0, 'SIGKILL');
  await started.promise;
  expect(pids[1]).not.toBe(pids[0]);
  await kept.stop();
  expect(() => process.kill(pids[1] ?? 0, 0)).toThrow('ESRCH');
});

/**
 * Seen with a server on a disk that hung: the process was there, so it was never started again, and it answered nobody,
 * so nothing was made until somebody looked.
 */
it('ends a server that answers nobody any more and starts it again, with every job', async () => {
  const clock = hurried(20);
  const socketPath = socketPathFor(folder, folder);
  const pids: number[] = [];
  const log: string[] = [];
  const start = async () => {
    const server = await startValkey({ dataDir: folder, socketPath, python: PYTHON, clock, log: () => {} });
    pids.push(server.pid);
    return server;
  };
  const kept = await keepRunning({ ...ROOMY, start, clock, log: (line) => log.push(line), onLost: () => {} });
  stop = () => kept.stop();
  const queue = new BullmqQueue({
    connection: { socketPath },
    name: 'q',
    clock,
    log: () => {},
    answerLimitMs: 200,
    onSilent: () => kept.restart('it has not answered'),
  });
  await queue.add(jobsOf(1, 5));
  const hands = new Hands();
  queue.work(hands.handler, { window: 1 });
  await vi.waitFor(() => expect(hands.calls).toHaveLength(1), { timeout: 20_000, interval: 20 });
  process.kill(pids[0] ?? 0, 'SIGSTOP');
  await vi.waitFor(() => expect(pids).toHaveLength(2), 20_000);
  await vi.waitFor(async () => {
    for (const call of hands.calls) call.resolve();
    expect(await queue.ids()).toEqual([]);
  }, 20_000);
  await queue.close();
  expect([...new Set(hands.seen)]).toEqual(idsOf(jobsOf(1, 5)));
  expect(log).toEqual([
    'queue: the server is ended, because it has not answered',
    'queue: the server ended (it has not answered)',
    'queue: the server is started again',
  ]);
});

it('leaves a server alone that is just being started', async () => {
  const clock = new ManualClock();
  const log: string[] = [];
  const ended = Promise.withResolvers<Exit>();
  const coming = Promise.withResolvers<Valkey>();
  const servers = [Promise.resolve({ ...GONE, exited: ended.promise }), coming.promise];
  const stops: string[] = [];
  const start = async () => servers.shift() ?? GONE;
  const kept = await keepRunning({ ...ROOMY, start, clock, log: (line) => log.push(line), onLost: () => {} });
  stop = () => kept.stop();
  ended.resolve({ code: 1, signal: null, error: null });
  await vi.waitFor(() => expect(log).toContain('queue: the server is started again'), {
    timeout: 20_000,
    interval: 20,
  });
  kept.restart('it has not answered');
  coming.resolve({ ...GONE, exited: new Promise(() => {}), stop: async () => void stops.push('stopped') });
  await new Promise<void>((next) => setImmediate(next));
  expect(stops).toEqual([]);
  expect(log).toHaveLength(2);
});

it('may be stopped although its server does not go, not even with SIGKILL', async () => {
  const stuck = async () => ({ ...GONE, exited: new Promise<Exit>(() => {}) });
  const kept = await keepRunning({ ...ROOMY, start: stuck, clock: new ManualClock(), log: () => {}, onLost: () => {} });
  await kept.stop();
});

it('gives up on a server that never stays up, and says so once', async () => {
  const clock = new ManualClock();
  const lost: AppError[] = [];
  let starts = 0;
  const start = async () => {
    starts += 1;
    return GONE;
  };
  const kept = await keepRunning({ ...ROOMY, start, clock, log: () => {}, onLost: (error) => lost.push(error) });
  stop = () => kept.stop();
  for (let round = 0; round < 50 && lost.length === 0; round += 1) {
    await new Promise<void>((done) => setImmediate(done));
    clock.advance(60_000);
  }
  expect(lost).toHaveLength(1);
  expect(lost[0]).toBeInstanceOf(UnavailableError);
  expect(starts).toBeLessThan(10);
});

it('waits on a full disk for as long as it takes, says so once, and then no acknowledged job is missing', async () => {
  const clock = new ManualClock();
  const limit = join(folder, 'limit');
  const binary = await limitedServer(folder, limit);
  const socketPath = socketPathFor(folder, folder);
  let hasRoom = true;
  let starts = 0;
  const fill = (blocks: string) => writeFileSync(limit, blocks);
  fill('200');
  const start = async () => {
    starts += 1;
    return startValkey({ dataDir: folder, socketPath, binary, clock: systemClock, log: () => {} });
  };
  const told: string[] = [];
  const kept = await keepRunning({
    start,
    clock,
    room: async () => hasRoom,
    onLost: (error) => told.push(error.message),
    log: (line) => told.push(line),
  });
  stop = () => kept.stop();
  hasRoom = false;
  const queue = new BullmqQueue({
    connection: { socketPath },
    name: 'q',
    clock: systemClock,
    log: () => {},
    patienceMs: 200,
  });
  const acknowledged: string[] = [];
  await expect(async () => {
    for (let first = 1; ; first += 10) {
      await queue.add(jobsOf(first, first + 9));
      acknowledged.push(...idsOf(jobsOf(first, first + 9)));
    }
  }).rejects.toThrow(UnavailableError);
  await vi.waitFor(() => expect(told).toContainEqual(expect.stringMatching(FULL)), { timeout: 20_000, interval: 20 });
  // Ten minutes, which are far more tries than a server gets that does not stay up.
  for (let poll = 0; poll < 120; poll += 1) {
    clock.advance(5_000);
    await new Promise<void>((done) => setImmediate(done));
  }
  expect(starts).toBe(1);
  fill('unlimited');
  hasRoom = true;
  await vi.waitFor(
    async () => {
      clock.advance(5_000);
      expect(await queue.ids()).toEqual(expect.arrayContaining(acknowledged));
    },
    { timeout: 20_000, interval: 20 },
  );
  expect(acknowledged.length).toBeGreaterThan(0);
  expect(starts).toBe(2);
  expect(told).toEqual([
    'queue: the server ended (it ended by itself)',
    expect.stringMatching(FULL),
    'queue: the server is started again',
  ]);
  await queue.close();
});

it('may be stopped while it waits for room', async () => {
  const clock = new ManualClock();
  const full = Promise.withResolvers<void>();
  const answers = [true];
  const kept = await keepRunning({
    start: async () => GONE,
    clock,
    room: async () => answers.shift() ?? false,
    onLost: () => {},
    log: (line) => FULL.test(line) && full.resolve(),
  });
  await full.promise;
  await kept.stop();
  expect(clock.waiting).toBe(0);
});
