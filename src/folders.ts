import { dirname } from 'node:path';
import { isMendable, LOOKS, waitingNote } from './gate.ts';
import type { Clock, ImageStore } from './ports.ts';
import { backoffDelay } from './process/backoff.ts';
import type { Millis } from './units.ts';

export interface FoldersOptions {
  readonly clock: Clock;
  readonly images: ImageStore;
  /** Told once when a folder begins to refuse, and once when it takes pictures again. */
  onNote(sentence: string): void;
}

interface Sick {
  readonly attempts: number;
  /** By the monotonic clock; before it, nobody asks. */
  readonly until: Millis;
}

/**
 * Folders of pictures that refuse: full, read-only, or gone. Jobs of such a folder wait, while those of other folders
 * go on; it is asked again after 1, 2, 4 … 10 s.
 */
export class Folders {
  readonly #options: FoldersOptions;
  readonly #sick = new Map<string, Sick>();

  constructor(options: FoldersOptions) {
    this.#options = options;
  }

  /** Whether a picture may be put there now. What is wrong with its name alone is met later, where it is that job's. */
  async isOpen(target: string): Promise<boolean> {
    const { clock, images } = this.#options;
    const folder = dirname(target);
    if (clock.monotonic() < (this.#sick.get(folder)?.until ?? Number.NEGATIVE_INFINITY)) return false;
    try {
      await images.requireRoom(target);
    } catch (error) {
      if (!isMendable(error)) return true;
      this.refused(target, error.message);
      return false;
    }
    return true;
  }

  /** A picture is there: what seems to have room may still have a quota. */
  took(target: string): void {
    const folder = dirname(target);
    if (this.#sick.delete(folder)) this.#options.onNote(`${folder} takes pictures again.`);
  }

  /** A picture could not be put there; also where there seemed to be room. */
  refused(target: string, sentence: string): void {
    const { clock, onNote } = this.#options;
    const folder = dirname(target);
    const attempts = (this.#sick.get(folder)?.attempts ?? 0) + 1;
    if (attempts === 1) onNote(waitingNote(sentence));
    this.#sick.set(folder, { attempts, until: clock.monotonic() + backoffDelay(attempts, () => 0, LOOKS) });
  }
}
