import type { Clock, Notice } from '../ports.ts';
import type { Millis } from '../units.ts';

/** A notice that is due: `why` stands in front of its line, and is null where that says everything. */
export interface Due {
  readonly kind: Notice['kind'];
  readonly why: string | null;
}

/**
 * Why nothing of a run is made though nothing is wrong: the user paused the work, it is held, no device is to be used now,
 * or electricity costs more than later.
 */
export type Rest = 'user' | 'held' | 'hours' | 'cheap';

export interface WatchOptions {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Without a settled job for so long, while some are to be made, a run has stalled. */
  readonly stalledAfter: Millis;
  /** Another process has told of a failure of this run before. */
  readonly failedBefore?: boolean;
}

/**
 * Which notices of one run are due: `first_failure` once, `stalled` once a stall, `paused` once a rest and reason,
 * `done` once, after which there are no others. A run that rests does not stall. Whoever makes the pictures says
 * what happens, and looks now and then.
 */
export class Watch {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #stalledAfter: Millis;
  #failureTold: boolean;
  #stallTold = false;
  #finished = false;
  /** Since when nothing was settled. */
  #since: Millis;
  readonly #rests = new Map<Rest, string | null>();

  constructor({ clock, stalledAfter, failedBefore = false }: WatchOptions) {
    this.#clock = clock;
    this.#stalledAfter = stalledAfter;
    this.#failureTold = failedBefore;
    this.#since = clock.monotonic();
  }

  /** A job of the run is done, or has failed for good. */
  settled(error: { readonly code: string; readonly message: string } | null): Due | null {
    this.moved();
    if (error === null || this.#failureTold || this.#finished) return null;
    this.#failureTold = true;
    return { kind: 'first_failure', why: `first failure: ${error.code}: ${oneLine(error.message)}` };
  }

  /** Something goes on, if not of this run: it waits its turn, and has not stalled. */
  moved(): void {
    this.#since = this.#clock.monotonic();
    this.#stallTold = false;
  }

  /** @param why null for a rest that nobody is to be told of, as that outside of the hours, or one that was told of before */
  paused(rest: Rest, why: string | null): Due | null {
    const known = this.#rests.get(rest) === why || why === null;
    this.#rests.set(rest, why);
    return known || this.#finished ? null : { kind: 'paused', why: oneLine(why) };
  }

  /** One rest is over; the others are not. */
  resumed(rest: Rest): void {
    if (this.#rests.delete(rest)) this.moved();
  }

  /** @param left jobs of the run that are to be made */
  look(left: number): Due | null {
    if (left === 0 || this.#rests.size > 0) this.moved();
    const still = this.#clock.monotonic() - this.#since;
    if (this.#stallTold || this.#finished || still < this.#stalledAfter) return null;
    this.#stallTold = true;
    return { kind: 'stalled', why: `no picture for ${Math.floor(still / MINUTE_MS)} min` };
  }

  finished(): Due | null {
    if (this.#finished) return null;
    this.#finished = true;
    return { kind: 'done', why: null };
  }
}

const MINUTE_MS: Millis = 60_000;
const WHY_CHARACTERS = 300;

/** The message of a worker's death has the last lines of its log in it. */
function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= WHY_CHARACTERS ? line : `${line.slice(0, WHY_CHARACTERS - 1)}…`;
}
