import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type AppError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { keepRunning } from '../../src/queue/keep-running.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON } from '../support/python.ts';
import { idsOf, jobsOf } from './samples.ts';
import { limitedServer } from './server.ts';

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
/** A disk that nobody fills. */
const ROOMY = { room: async () => true, onFull: () => {} };

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
  const told: (boolean | string)[] = [];
  const kept = await keepRunning({
    start,
    clock,
    room: async () => hasRoom,
    onFull: (full) => told.push(full),
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
  await vi.waitFor(() => expect(told).toContain(true));
  // Ten minutes, which are far more tries than a server gets that does not stay up.
  for (let poll = 0; poll < 120; poll += 1) {
    clock.advance(5_000);
    await new Promise<void>((done) => setImmediate(done));
  }
  expect(starts).toBe(1);
  fill('unlimited');
  hasRoom = true;
  await vi.waitFor(async () => {
    clock.advance(5_000);
    expect(await queue.ids()).toEqual(expect.arrayContaining(acknowledged));
  }, 10_000);
  expect(acknowledged.length).toBeGreaterThan(0);
  expect(starts).toBe(2);
  expect(told).toEqual([
    'queue: the server ended (it ended by itself)',
    expect.stringMatching(/the disk of the data folder is full/),
    true,
    false,
    'queue: the server is started again',
  ]);
  await queue.close();
});

it('may be stopped while it waits for room', async () => {
  const clock = new ManualClock();
  const full = Promise.withResolvers<void>();
  const kept = await keepRunning({
    start: async () => GONE,
    clock,
    room: async () => false,
    onFull: () => full.resolve(),
    onLost: () => {},
    log: () => {},
  });
  await full.promise;
  await kept.stop();
  expect(clock.waiting).toBe(0);
});
