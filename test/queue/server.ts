import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Clock } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { findServer } from '../../src/queue/valkey-program.ts';
import { PYTHON } from '../support/python.ts';

/** A folder with a Valkey of its own, which a test may kill and start again. */
export class TestServer {
  readonly root = mkdtempSync(join(tmpdir(), 'kwq-'));
  readonly dataDir = join(this.root, 'data');
  readonly socketPath = socketPathFor(this.dataDir, join(this.root, 'run'));
  readonly log: string[] = [];
  #valkey: Valkey | undefined;

  async start(clock: Clock = systemClock, binary?: string): Promise<Valkey> {
    const { dataDir, socketPath } = this;
    this.#valkey = await startValkey({
      dataDir,
      socketPath,
      python: PYTHON,
      ...(binary === undefined ? {} : { binary }),
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

/**
 * The real server, which may write files of so many blocks only as the file `limit` says when it starts: a full disk
 * that needs no root.
 */
export async function limitedServer(folder: string, limit: string): Promise<string> {
  const { path } = await findServer({ python: PYTHON });
  const program = join(folder, 'limited-server');
  // An ignored SIGXFSZ makes the write fail as it does on a full disk, instead of killing the writer.
  const script = `#!/bin/sh\ntrap '' XFSZ\nulimit -S -f "$(cat '${limit}')"\nexec '${path}' "$@"\n`;
  writeFileSync(program, script, { mode: 0o755 });
  return program;
}

/** Time that runs `factor` times as fast, for limits that are long because real servers are slow. */
export function hurried(factor: number): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now() * factor,
    after: (delay, callback) => systemClock.after(delay / factor, callback),
  };
}
