import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';
import type { Answers } from './answers.ts';
import type { Incarnation } from './incarnation.ts';

/**
 * From an abort on, asks the worker to leave out what is open, and ends a worker that has not finished the batch
 * within the limit. Returns what takes the listener and its timer away.
 */
export function cancelOnAbort(
  incarnation: Incarnation,
  answers: Answers,
  options: { readonly signal: AbortSignal | undefined; readonly clock: Clock; readonly limit: Millis },
): () => void {
  const { signal, clock, limit } = options;
  let stopTimer = () => {};
  const onAbort = () => {
    incarnation.send({ type: 'cancel', batch: answers.batch, jobs: answers.open });
    stopTimer = clock.after(limit, () => incarnation.condemn('did not heed a cancel', true));
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  return () => {
    signal?.removeEventListener('abort', onAbort);
    stopTimer();
  };
}
