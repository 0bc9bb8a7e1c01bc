import type { Working } from '../pipeline.ts';
import type { Clock, Pause } from '../ports.ts';

export interface PausesOptions {
  readonly clock: Clock;
  onPaused(pause: Pause): void;
  onResumed(): void;
}

/** The pause that the work heeds now, as the store says it. */
export class Pauses {
  readonly #options: PausesOptions;
  #pause: Pause | null = null;

  constructor(options: PausesOptions) {
    this.#options = options;
  }

  /** Returns whether the pause has run out, and is to be taken out of the store. */
  heed(working: Working, pause: Pause | null): boolean {
    const { clock, onPaused, onResumed } = this.#options;
    const over = pause?.until != null && clock.now() >= pause.until;
    const wanted = over ? null : pause;
    if (JSON.stringify(wanted) === JSON.stringify(this.#pause)) return over;
    this.#pause = wanted;
    if (wanted === null) {
      working.resume();
      onResumed();
    } else {
      working.pause({ now: wanted.now });
      onPaused(wanted);
    }
    return over;
  }
}
