import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';
import type { Answers } from './answers.ts';
import type { Incarnation } from './incarnation.ts';

/** Who may give up what of a batch. */
export interface Aborts {
  /** All that is open. */
  readonly signal?: AbortSignal | undefined;
  /** By job id: this job alone. */
  readonly givenUp?: ReadonlyMap<string, AbortSignal> | undefined;
}

export interface AbortOptions extends Aborts {
  readonly clock: Clock;
  /** How long a worker has, from now on, to leave out what nobody wants. */
  limit(): Millis;
}

/**
 * Asks the worker to leave out what was given up. Only where nobody wants anything of the batch any more is a worker
 * ended that has not done so within the limit: else its neighbours would pay for a job that was cancelled, and the
 * watchdog looks after them anyway.
 */
export class AbortsOfBatch {
  readonly #incarnation: Incarnation;
  readonly #answers: Answers;
  readonly #options: AbortOptions;
  readonly #leftovers: (() => void)[] = [];
  #isEnding = false;

  constructor(incarnation: Incarnation, answers: Answers, options: AbortOptions) {
    this.#incarnation = incarnation;
    this.#answers = answers;
    this.#options = options;
  }

  /** To be called when the worker has its order. */
  heed(): void {
    const { signal, givenUp } = this.#options;
    if (signal !== undefined) this.#listen(signal, () => this.#cancelAll());
    for (const [job, own] of givenUp ?? []) {
      if (this.#answers.open.includes(job)) this.#listen(own, () => this.#cancel(job, own.reason));
    }
  }

  /** To be called after each answer: it may have been the last that somebody waited for. */
  look(): void {
    if (this.#answers.open.length > 0 && !this.#answers.isWanted) this.#endUnlessHeeded();
  }

  /** The batch is over. */
  stop(): void {
    for (const takeAway of this.#leftovers.splice(0)) takeAway();
  }

  #cancelAll(): void {
    this.#send(this.#answers.open);
    this.#endUnlessHeeded();
  }

  #cancel(job: string, reason: unknown): void {
    if (!this.#answers.open.includes(job)) return;
    this.#answers.giveUp(job, reason);
    this.#send([job]);
    this.look();
  }

  #send(jobs: readonly string[]): void {
    this.#incarnation.send({ type: 'cancel', batch: this.#answers.batch, jobs });
  }

  /** The end of the batch takes the timer away. */
  #endUnlessHeeded(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const { clock, limit } = this.#options;
    this.#leftovers.push(clock.after(limit(), () => this.#incarnation.condemn('did not heed a cancel', true)));
  }

  #listen(to: AbortSignal, onAbort: () => void): void {
    if (to.aborted) {
      onAbort();
      return;
    }
    to.addEventListener('abort', onAbort, { once: true });
    this.#leftovers.push(() => to.removeEventListener('abort', onAbort));
  }
}
