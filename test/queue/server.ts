import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Clock } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { PYTHON } from '../support/python.ts';

/** A folder with a Valkey of its own, which a test may kill and start again. */
export class TestServer {
  readonly root = mkdtempSync(join(tmpdir(), 'kwq-'));
  readonly dataDir = join(this.root, 'data');
  readonly socketPath = socketPathFor(this.dataDir, join(this.root, 'run'));
  readonly log: string[] = [];
  #valkey: Valkey | undefined;

  async start(clock: Clock = systemClock): Promise<Valkey> {
    const { dataDir, socketPath } = this;
    this.#valkey = await startValkey({
      dataDir,
      socketPath,
      python: PYTHON,
      clock,
      log: (line) => this.log.push(line),
    });
    return this.#valkey;
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    if (this.#valkey === undefined) return;
    process.kill(this.#valkey.pid, 'SIGKILL');
    await this.#valkey.exited;
  }

  /** Sends commands past the queue. */
  async raw<T>(ask: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis({ path: this.socketPath });
    try {
      return await ask(redis);
    } finally {
      redis.disconnect();
    }
  }

  async close(): Promise<void> {
    await this.#valkey?.stop();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Time that runs `factor` times as fast, for limits that are long because real servers are slow. */
export function hurried(factor: number): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now() * factor,
    after: (delay, callback) => systemClock.after(delay / factor, callback),
  };
}
