import { type AppError, StorageError } from './errors.ts';
import type { Clock } from './ports.ts';
import { backoffDelay } from './process/backoff.ts';
import { pause } from './process/clock.ts';
import type { Millis } from './units.ts';

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
 * A disk that refuses (full, read-only, a folder that is gone) stops nothing for good: whoever needs it waits, the gate
 * is shut for everybody else, and all goes on once it is mended.
 */
export class Disk {
  readonly #options: DiskOptions;
  /** Calls that wait for it now. */
  #refused = 0;
  /** Batches in a row that it spoilt although it had looked well before. */
  #spoilt = 0;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /**
   * Does the work, and does it again as long as the disk refuses; so it must be one that may be done twice.
   * @throws the disk's own error once the work is being stopped
   */
  async untilTaken<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const value = await work();
        if (attempt > 1) this.#taken();
        return value;
      } catch (error) {
        if (!isMendable(error) || this.#options.stopping.aborted) {
          if (attempt > 1) this.#taken();
          throw error;
        }
        if (attempt === 1) this.#refusedFor(error.message);
        await this.#wait(attempt);
      }
    }
  }

  /** A batch's pictures could not be written, although there was room before: the next one waits, longer each time. */
  async spoilt(sentence: string, probe: () => Promise<void>): Promise<void> {
    this.#spoilt += 1;
    this.#refusedFor(sentence);
    try {
      await this.#wait(this.#spoilt);
      await this.untilTaken(probe);
    } finally {
      this.#taken();
    }
  }

  /** A batch's pictures are on the disk. */
  took(): void {
    this.#spoilt = 0;
  }

  #refusedFor(sentence: string): void {
    const { gate, onNote } = this.#options;
    this.#refused += 1;
    if (gate.isShutFor('disk')) return;
    gate.shut('disk');
    onNote(`Waiting: ${sentence}. It goes on by itself once that is mended.`);
  }

  #taken(): void {
    const { gate, onNote } = this.#options;
    this.#refused -= 1;
    if (this.#refused > 0) return;
    if (!this.#options.stopping.aborted) onNote('The disk takes pictures again.');
    gate.open('disk');
  }

  /** Ends early, without an error, when the work is being stopped. */
  async #wait(attempt: number): Promise<void> {
    const { clock, stopping } = this.#options;
    await pause(
      clock,
      backoffDelay(attempt, () => 0, LOOKS),
      stopping,
    ).catch(() => {});
  }
}

const LOOKS: { readonly first: Millis; readonly most: Millis; readonly jitter: number } = {
  first: 1_000,
  most: 10_000,
  jitter: 0,
};

const MENDABLE: ReadonlySet<string> = new Set(['disk_full', 'not_writable', 'storage_failed', 'store_busy']);

export function isMendable(error: unknown): error is AppError {
  return error instanceof StorageError && MENDABLE.has(error.code);
}
