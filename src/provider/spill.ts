import type { BatchResult } from '../ports.ts';

/** Times what was measured before. */
const SLOW = 3;
/** With fewer, the median is of the steps that warm everything up. */
const STEPS = 3;

/**
 * Whether a batch was so much slower than one of its kind had been that its tensors must have been in the host's memory:
 * the driver of WSL2 puts them there instead of failing.
 */
export function isSpilled(
  steps: BatchResult['shared']['steps'],
  before: { readonly stepSeconds: number } | undefined,
): boolean {
  if (steps === null || before === undefined || before.stepSeconds === 0) return false;
  return steps.count >= STEPS && steps.median >= SLOW * before.stepSeconds;
}
