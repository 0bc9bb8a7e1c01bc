import { HandedBack, StorageError } from './errors.ts';
import type { Clock } from './ports.ts';
import { type Backoff, backoffDelay } from './process/backoff.ts';
import { pause } from './process/clock.ts';

/** Why no batch is begun now. */
export type Reason = 'paused' | 'disk' | 'queue_away';

/** What keeps batches from being begun; those under way go on. It is open while no reason stands. */
export class Gate {
  readonly #reasons = new Set<Reason>();
  readonly #onOpen: () => void;

  /** @param onOpen told whenever the last reason has gone */
  constructor(onOpen: () => void) {
    this.#onOpen = onOpen;
  }

  get isOpen(): boolean {
    return this.#reasons.size === 0;
  }

  isShutFor(reason: Reason): boolean {
    return this.#reasons.has(reason);
  }

  shut(reason: Reason): void {
    this.#reasons.add(reason);
  }

  open(reason: Reason): void {
    if (this.#reasons.delete(reason) && this.isOpen) this.#onOpen();
  }
}

export interface DiskOptions {
  readonly gate: Gate;
  readonly clock: Clock;
  /** Aborted by a stop, which does not wait for a disk. */
  readonly stopping: AbortSignal;
  /** Told once when the disk begins to refuse, and once when it takes everything again. */
  onNote(sentence: string): void;
}

/**
 * A disk that nobody can do without (of the database, or of a picture that is made and has to be put somewhere) stops
 * nothing for good when it refuses: whoever needs it waits, the gate is shut for everybody else, and all goes on once it
 * is mended. Folders that pictures are still to be made for are those of `Folders`.
 */
export class Disk {
  readonly #options: DiskOptions;
  /** Calls that wait for it now. */
  #refused = 0;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /**
   * Does the work, and does it again as long as the disk refuses; so it must be one that may be done twice.
   * @param unwanted aborted when nobody needs the work any more
   * @throws HandedBack where a stop, or that, came before the disk took it
   */
  async untilTaken<T>(work: () => Promise<T>, unwanted?: AbortSignal): Promise<T> {
    let waits = false;
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await work();
        } catch (error) {
          if (!isMendable(error)) throw error;
          if (!waits) this.#refusedFor(error.message);
          waits = true;
        }
        await this.#wait(attempt, unwanted);
        if (this.#options.stopping.aborted || unwanted?.aborted === true) throw new HandedBack();
      }
    } finally {
      if (waits) this.#taken();
    }
  }

  #refusedFor(sentence: string): void {
    const { gate, onNote } = this.#options;
    this.#refused += 1;
    if (gate.isShutFor('disk')) return;
    gate.shut('disk');
    onNote(waitingNote(sentence));
  }

  #taken(): void {
    const { gate, onNote } = this.#options;
    this.#refused -= 1;
    if (this.#refused > 0) return;
    if (!this.#options.stopping.aborted) onNote('The disk takes pictures again.');
    gate.open('disk');
  }

  /** Ends early, without an error, when the work is being stopped or not wanted any more. */
  async #wait(attempt: number, unwanted?: AbortSignal): Promise<void> {
    const { clock, stopping } = this.#options;
    const ended = new AbortController();
    const end = () => ended.abort();
    const signals = unwanted === undefined ? [stopping] : [stopping, unwanted];
    for (const signal of signals) signal.addEventListener('abort', end, { once: true });
    if (signals.some((signal) => signal.aborted)) end();
    await pause(
      clock,
      backoffDelay(attempt, () => 0, LOOKS),
      ended.signal,
    ).catch(() => {});
    for (const signal of signals) signal.removeEventListener('abort', end);
  }
}

/** @param sentence what refuses, without its full stop */
export function waitingNote(sentence: string): string {
  return `Waiting: ${sentence}. It goes on by itself once that is mended.`;
}

/** When whatever refuses is asked again. */
export const LOOKS: Backoff = { first: 1_000, most: 10_000, jitter: 0 };

const MENDABLE: ReadonlySet<string> = new Set([
  'disk_full',
  'not_writable',
  'storage_failed',
  'store_busy',
  'io_error',
]);

/** Whether a disk may do later what it refuses now. */
export function isMendable(error: unknown): error is StorageError {
  return error instanceof StorageError && MENDABLE.has(error.code);
}
