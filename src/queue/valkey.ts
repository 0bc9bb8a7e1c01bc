import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import { UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { type Child, type Exit, startChild } from '../process/child.ts';
import { settlesWithin } from '../process/clock.ts';
import { makeFolderSync } from '../process/folder.ts';
import { requireShort } from './socket-path.ts';
import { outlivePredecessor, pidFileIn } from './valkey-predecessor.ts';
import { findServer } from './valkey-program.ts';

export { socketPathFor } from './socket-path.ts';

export interface ValkeyOptions {
  /** The data folder; the server's files are in `valkey` below it. */
  readonly dataDir: string;
  readonly socketPath: string;
  /** The interpreter of the environment that the set-up made; the server came along with it. */
  readonly python?: string;
  /** A configured server program, which is taken before all others. */
  readonly binary?: string;
  readonly log: (line: string) => void;
  readonly clock: Clock;
}

/** A running server of our own. */
export interface Valkey {
  readonly socketPath: string;
  readonly pid: number;
  readonly version: string;
  /** Resolves once it is gone, asked or not. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Resolves when it is gone with everything on disk. May be called twice. */
  stop(): Promise<void>;
}

/** Reading back a very long append-only file included. */
const START_LIMIT_MS = 120_000;
const RETRY_MS = 20;
const STOP_LIMITS = { ask: 0, terminate: 10_000, kill: 5_000 };

/**
 * Starts the server and waits until it answers. Only for the holder of the owner's lock: two servers on
 * one folder corrupt it. The server listens on a unix socket of mode 0600 alone, has every acknowledged
 * job on disk, never throws one away, does not hear Ctrl-C, and dies with this process.
 *
 * @throws ConfigError `socket_path_too_long`, `redis_binary_broken`; UnavailableError `redis_unavailable`, retryable where
 *   somebody killed it before it was up
 */
export async function startValkey(options: ValkeyOptions): Promise<Valkey> {
  const { socketPath, clock, log, binary, python } = options;
  requireShort(socketPath);
  const program = await findServer({
    ...(binary === undefined ? {} : { binary }),
    ...(python === undefined ? {} : { python }),
  });
  const folder = join(options.dataDir, 'valkey');
  makeFolderSync(folder, 0o700);
  makeFolderSync(dirname(socketPath), 0o700);
  await outlivePredecessor({ folder, socketPath, clock });
  rmSync(socketPath, { force: true });

  const child = startChild({
    command: program.path,
    args: argumentsFor(folder, socketPath),
    clock,
    dieWithParent: python === undefined ? {} : { python },
    onLog: log,
    limits: STOP_LIMITS,
  });
  const stop = async () => {
    // Whoever starts the next one has to know of a server that even SIGKILL could not end.
    if ((await child.stop()) !== 'stuck') rmSync(pidFileIn(folder), { force: true });
  };
  if (child.pid === undefined)
    throw failed(program.path, (await child.exited).error ?? 'it could not be started', child);
  writeFileSync(pidFileIn(folder), String(child.pid));
  try {
    await answering(child, program.path, options);
  } catch (error) {
    await stop();
    throw error;
  }
  return { socketPath, pid: child.pid, version: program.version, exited: child.exited, stop };
}

function argumentsFor(folder: string, socketPath: string): readonly string[] {
  const settings: Readonly<Record<string, string>> = {
    port: '0',
    unixsocket: socketPath,
    unixsocketperm: '600',
    dir: folder,
    daemonize: 'no',
    appendonly: 'yes',
    appendfsync: 'always',
    'aof-load-truncated': 'yes',
    save: '',
    'maxmemory-policy': 'noeviction',
    databases: '1',
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/** Resolves when the server answers and has read its data back. */
async function answering(child: Child, program: string, { socketPath, clock }: ValkeyOptions): Promise<void> {
  // maxLoadingRetryTime: while it reads its data back, ioredis asks again this often.
  const redis = new Redis({
    path: socketPath,
    maxRetriesPerRequest: null,
    retryStrategy: () => RETRY_MS,
    maxLoadingRetryTime: 250,
  });
  // Until it listens each try fails; what matters is told by its exit or by the limit.
  redis.on('error', () => {});
  const ready = new Promise<'ready'>((resolve) => redis.once('ready', () => resolve('ready')));
  try {
    const first = Promise.race([ready, child.exited]);
    if (!(await settlesWithin(clock, START_LIMIT_MS, first)))
      throw failed(program, `it did not answer within ${START_LIMIT_MS / 1_000} s`, child);
    const outcome = await first;
    if (outcome === 'ready') return;
    const reason = outcome.error ?? `it ended with ${outcome.signal ?? `code ${outcome.code}`}`;
    throw failed(program, reason, child, { retryable: outcome.signal !== null });
  } finally {
    redis.disconnect();
  }
}

/** Another try may help where somebody killed it. */
function failed(program: string, reason: string, child: Child, { retryable = false } = {}): UnavailableError {
  const said = child.log.last(3).join(' | ');
  return new UnavailableError(
    `the queue's server ${program} could not be started: ${reason}${said === '' ? '' : ` (${said})`}; look at the disk and at the folder valkey in data_dir.`,
    { code: 'redis_unavailable', retryable },
  );
}
