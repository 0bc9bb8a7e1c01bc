import type { Working } from '../pipeline.ts';
import type { Clock, Pause } from '../ports.ts';

export interface PausesOptions {
  readonly clock: Clock;
  onPaused(pause: Pause): void;
  onResumed(): void;
}

/** The pause that is in force now, as the store says it. */
export class Pauses {
  readonly #options: PausesOptions;
  #pause: Pause | null = null;
  /** What has been told to pause or to go on. */
  #working: Working | null = null;

  constructor(options: PausesOptions) {
    this.#options = options;
  }

  /**
   * Returns whether the pause has run out, and is to be taken out of the store by whoever works.
   * @param working null where another process makes the pictures: it heeds the same pause
   */
  heed(working: Working | null, pause: Pause | null): boolean {
    const { clock } = this.#options;
    const over = pause?.until != null && clock.now() >= pause.until;
    this.#become(working, over ? null : pause);
    return over;
  }

  #become(working: Working | null, wanted: Pause | null): void {
    const { onPaused, onResumed } = this.#options;
    const changed = JSON.stringify(wanted) !== JSON.stringify(this.#pause);
    if (!changed && working === this.#working) return;
    this.#working = working;
    this.#pause = wanted;
    if (wanted === null) working?.resume();
    else working?.pause({ now: wanted.now });
    if (changed && wanted === null) onResumed();
    else if (changed && wanted !== null) onPaused(wanted);
  }
}
