import { existsSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { connectTo, redisServer } from './redis-server.ts';

export interface Predecessor {
  readonly folder: string;
  readonly socketPath: string;
  readonly clock: Clock;
}

/** It got SIGKILL when its owner died, so it is about to be gone. */
const DYING_LIMIT_MS = 3_000;
/** A server that outlived its owner writes its data and ends. */
const SHUTDOWN_LIMIT_MS = 10_000;
const ANSWER_LIMIT_MS = 1_000;
const POLL_MS = 20;

export function pidFileIn(folder: string): string {
  return join(folder, 'server.pid');
}

/**
 * Waits until no server of a dead owner works on the folder any more, and ends one that stays.
 * @throws UnavailableError `redis_unavailable` if it will not go
 */
export async function outlivePredecessor(predecessor: Predecessor): Promise<void> {
  const { folder, socketPath } = predecessor;
  const written = readPid(pidFileIn(folder));
  if (written !== undefined) await outlive(written, () => worksIn(written, folder), predecessor);
  // A socket file without a listener is all that a killed server leaves.
  if (!(await isListening(socketPath))) return;
  // One whose pid was never written down: its owner was killed that very moment.
  const answering = await pidBehind(predecessor);
  if (answering !== undefined) await outlive(answering, () => workingFolderOf(answering) !== undefined, predecessor);
}

async function outlive(pid: number, isThere: () => boolean, { folder, clock }: Predecessor): Promise<void> {
  const goneWithin = async (limit: Millis): Promise<boolean> => {
    const deadline = clock.monotonic() + limit;
    while (isThere()) {
      if (clock.monotonic() >= deadline) return false;
      await pause(clock, POLL_MS);
    }
    return true;
  };
  if (await goneWithin(DYING_LIMIT_MS)) return;
  signalUnlessGone(pid, 'SIGTERM');
  if (await goneWithin(SHUTDOWN_LIMIT_MS)) return;
  signalUnlessGone(pid, 'SIGKILL');
  if (await goneWithin(DYING_LIMIT_MS)) return;
  throw new UnavailableError(`an old Valkey (process ${pid}) still works on ${folder}; end it, then try again.`, {
    code: 'redis_unavailable',
  });
}

/** It may have gone since the last look. */
function signalUnlessGone(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** By its working folder, because a pid may have gone to another program since. */
function worksIn(pid: number, folder: string): boolean {
  return workingFolderOf(pid) === realpathSync(folder);
}

/** Undefined for a dead process, also while nobody has collected its exit. */
function workingFolderOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return undefined;
  }
}

function isListening(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** Undefined when it does not answer after all, being about to end. */
async function pidBehind({ socketPath, clock }: Predecessor): Promise<number | undefined> {
  try {
    const limits = { clock, patience: ANSWER_LIMIT_MS };
    const redis = await connectTo(redisServer({ socketPath }), limits);
    const said = /^process_id:(\d+)/m.exec(await redis.info('server'))?.[1];
    redis.disconnect();
    return said === undefined ? undefined : Number(said);
  } catch (error) {
    if (error instanceof UnavailableError) return undefined;
    throw error;
  }
}

function readPid(path: string): number | undefined {
  if (!existsSync(path)) return undefined;
  const pid = Number(readFileSync(path, 'utf8').trim());
  return Number.isInteger(pid) && pid > 1 ? pid : undefined;
}
