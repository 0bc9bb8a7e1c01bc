import type { JobState } from '../ports.ts';

export const JOB_STATES = [
  'submitting',
  'queued',
  'running',
  'done',
  'failed',
  'cancelled',
  'interrupted',
] as const satisfies readonly JobState[];

/** In the queue, or on its way there or back. */
export const OPEN_STATES: readonly JobState[] = ['submitting', 'queued', 'running'];
/** Not made yet, and may still be. */
export const LEFT_STATES: readonly JobState[] = [...OPEN_STATES, 'interrupted'];

/** What may be tried again; all that is left may be cancelled. */
export const RETRIABLE_STATES: readonly JobState[] = ['failed', 'cancelled'];

/**
 * Whether a batch may move a job from one state to the other. A picture that was made is a fact, so
 * `done` wins over everything and nothing wins over it; what was taken out of the queue stays out.
 */
export function maySettle(from: JobState, to: 'done' | 'failed' | 'queued'): boolean {
  if (from === 'done') return false;
  if (to === 'done') return true;
  if (to === 'failed') return from !== 'cancelled';
  return from === 'running';
}

export function countsOf(found: Readonly<Record<string, number>>): Record<JobState, number> {
  const counts = { submitting: 0, queued: 0, running: 0, done: 0, failed: 0, cancelled: 0, interrupted: 0 };
  for (const state of JOB_STATES) counts[state] = found[state] ?? 0;
  return counts;
}
