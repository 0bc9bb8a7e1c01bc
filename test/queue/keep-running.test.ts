import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type AppError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { keepRunning } from '../../src/queue/keep-running.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { PYTHON } from '../support/python.ts';

const folder = mkdtempSync(join(tmpdir(), 'keep-'));
let stop = async () => {};
afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
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
  const kept = await keepRunning({ start, clock: systemClock, log: () => {}, onLost: started.reject });
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
  const gone: Valkey = {
    socketPath: '',
    pid: 0,
    version: '',
    exited: Promise.resolve({ code: 1, signal: null, error: null }),
    stop: async () => {},
  };
  const start = async () => {
    starts += 1;
    return gone;
  };
  const kept = await keepRunning({ start, clock, log: () => {}, onLost: (error) => lost.push(error) });
  stop = () => kept.stop();
  for (let round = 0; round < 50 && lost.length === 0; round += 1) {
    await new Promise<void>((done) => setImmediate(done));
    clock.advance(60_000);
  }
  expect(lost).toHaveLength(1);
  expect(lost[0]).toBeInstanceOf(UnavailableError);
  expect(starts).toBeLessThan(10);
});
