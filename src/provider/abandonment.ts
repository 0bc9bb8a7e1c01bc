import type { Batch, Failure } from '../ports.ts';
import { givenUpFailure } from './refusal.ts';

/** Who may give up what of a batch. */
export interface Wishes {
  /** The whole batch. */
  readonly signal: AbortSignal;
  /** By job id. */
  readonly givenUp: ReadonlyMap<string, AbortSignal>;
}

/** True once nobody waits for any job of it. */
export function isAbandoned(batch: Batch, givenUp: Wishes['givenUp']): boolean {
  return batch.jobs.every(({ id }) => givenUp.get(id)?.aborted);
}

/** Each job by its own reason. */
export function abandonedAnswers(batch: Batch, givenUp: Wishes['givenUp']): readonly Failure[] {
  return batch.jobs.map(({ id }) => givenUpFailure(id, givenUp.get(id)?.reason));
}

/**
 * Makes a call that serves the batch as a whole, as a load does. Its signal is aborted with the batch's own, and as soon
 * as every job is given up.
 */
export async function whileWanted<Value>(
  batch: Batch,
  { signal, givenUp }: Wishes,
  call: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const either = new AbortController();
  const onAbort = () => either.abort(signal.reason);
  const onGivenUp = () => isAbandoned(batch, givenUp) && either.abort(new Error('nobody wants the batch any more'));
  const own = batch.jobs.flatMap(({ id }) => givenUp.get(id) ?? []);
  signal.addEventListener('abort', onAbort, { once: true });
  for (const one of own) one.addEventListener('abort', onGivenUp, { once: true });
  try {
    if (signal.aborted) onAbort();
    onGivenUp();
    return await call(either.signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
    for (const one of own) one.removeEventListener('abort', onGivenUp);
  }
}
