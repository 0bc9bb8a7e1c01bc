import type { z } from 'zod';

/** A check for `superRefine`: what `whyNot` finds wrong is the issue. */
export function complaining<Value>(whyNot: (value: Value) => string | undefined) {
  return (value: Value, context: z.RefinementCtx): void => {
    const fault = whyNot(value);
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault });
  };
}
