import type { BatchResult } from '../ports.ts';
import type { Seconds } from '../units.ts';

/** Times what was measured before. */
const SLOW = 3;
/** With fewer, the median is of the steps that warm everything up. */
const STEPS = 3;

/**
 * How many times as long as before a step that was asked for took, where that is so long that the tensors must have been
 * in the host's memory: the driver of WSL2 puts them there instead of failing. Null where it was not.
 */
export function spillOf(
  { count, median }: NonNullable<BatchResult['shared']['steps']>,
  asked: number,
  before: { readonly stepSeconds: Seconds; readonly count: number } | undefined,
): number | null {
  if (before === undefined || before.count === 0 || before.stepSeconds === 0 || count < STEPS) return null;
  // By the median, since the first one of a cold batch may take as long as all others.
  const times = (median * count) / asked / before.stepSeconds;
  return times >= SLOW ? times : null;
}
