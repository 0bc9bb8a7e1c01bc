import { AppError, UnavailableError } from '../errors.ts';
import { isMendable } from '../gate.ts';
import type { Clock } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import type { Interrupts } from './app.ts';

/**
 * One of many looks: where the disk or a server refuses it, and waiting mends that, the next look finds the same.
 * Who cannot go on without them waits, and says so.
 * @returns whether it was done
 */
export async function onceItCan(look: () => Promise<void>): Promise<boolean> {
  try {
    await look();
    return true;
  } catch (error) {
    if (error instanceof UnavailableError || isMendable(error)) return false;
    throw error;
  }
}

export interface ClientOptions {
  readonly clock: Clock;
  readonly interrupts: Pick<Interrupts, 'count'>;
  /** The queue's server is the owner's, and not one that stands for itself. */
  readonly ownServer: boolean;
  /** Whether this process is the owner now. */
  owns(): boolean;
  onNote(text: string): void;
  /** Before each further attempt. */
  onRetry(): void;
}

/**
 * As a client, waits until the owner's queue is there, which may take a model's download, and over the moment in
 * which the owner changes; this process may be the next.
 * @throws AppError `interrupted` once the user does not want to wait
 */
export async function asClient<T>(attempt: () => Promise<T>, options: ClientOptions): Promise<T> {
  const { clock, interrupts, ownServer, owns, onNote, onRetry } = options;
  const deadline = clock.monotonic() + PATIENCE_MS;
  for (let told = false; ; told = true) {
    const owned = owns();
    try {
      return await attempt();
    } catch (error) {
      if (owned || !(error instanceof UnavailableError)) throw error;
      if (!ownServer && clock.monotonic() > deadline) throw error;
      if (interrupts.count() > 0) throw new AppError(LEFT_WAITING, { code: 'interrupted', cause: error });
      if (!told && ownServer) onNote('Waiting for the kilnwatt that owns this data folder: its queue is not up yet.');
      onRetry();
      await pause(clock, RETRY_MS);
    }
  }
}

/** For another server than our own: as long as it may take to read a long file back. */
const PATIENCE_MS: Millis = 120_000;
const RETRY_MS: Millis = 200;
const LEFT_WAITING =
  'interrupted while waiting for the queue of the kilnwatt that owns this data folder; the same command begins again';
