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

/**
 * From an abort on, asks the worker to leave out what was given up, and ends a worker that has not done so within
 * the limit. Returns what takes the listeners and their timers away.
 */
export function heedAborts(
  incarnation: Incarnation,
  answers: Answers,
  { signal, givenUp, clock, limit }: Aborts & { readonly clock: Clock; readonly limit: Millis },
): () => void {
  const leftovers: (() => void)[] = [];
  const cancel = (jobs: readonly string[], isHeeded: () => boolean) => {
    incarnation.send({ type: 'cancel', batch: answers.batch, jobs });
    const look = () => {
      if (!isHeeded()) incarnation.condemn('did not heed a cancel', true);
    };
    leftovers.push(clock.after(limit, look));
  };
  const listen = (to: AbortSignal, onAbort: () => void) => {
    if (to.aborted) return onAbort();
    to.addEventListener('abort', onAbort, { once: true });
    leftovers.push(() => to.removeEventListener('abort', onAbort));
  };
  // The end of the batch takes the timer away.
  if (signal !== undefined) listen(signal, () => cancel(answers.open, () => false));
  for (const [job, own] of givenUp ?? []) {
    if (!answers.open.includes(job)) continue;
    listen(own, () => {
      if (!answers.open.includes(job)) return;
      answers.giveUp(job, own.reason);
      cancel([job], () => !answers.open.includes(job));
    });
  }
  return () => {
    for (const takeAway of leftovers) takeAway();
  };
}
