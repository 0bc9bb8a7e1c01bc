import type { BatchResult } from '../ports.ts';
import type { Piece } from './pieces.ts';
import { dividedBy } from './tariff.ts';

/** A first step that takes less than so many others is like the others. */
const TIMES = 2;
/** With fewer steps, which one is usual cannot be told. */
const STEPS = 3;

/**
 * What the first step of a batch took over the median one is no picture's: graphs were compiled in it, or kernels were
 * tried out. It is taken out of the batch's own energy in proportion to time, so that both are derived.
 * @returns the same result without it, and what is to be booked of it; null where there was nothing of the kind
 */
export function withoutWarmUp(
  result: BatchResult,
  batchId: string,
): { readonly result: BatchResult; readonly piece: Piece | null } {
  const { energy, seconds, steps, work } = result.shared;
  const { window, meter, flags = [], bound: _, ...told } = energy;
  const over = steps === null || steps.count < STEPS ? 0 : steps.first - steps.median;
  const isUsual = steps === null || over <= 0 || steps.first < TIMES * steps.median;
  if (isUsual || over >= seconds || energy.millijoules === null || window === undefined) return { result, piece: null };
  const [part, whole] = [Math.round(over * 1e6), Math.round(seconds * 1e6)];
  const millijoules = Number(dividedBy(BigInt(energy.millijoules) * BigInt(part), BigInt(whole)));
  const rest = {
    ...told,
    meter,
    flags,
    window,
    millijoules: energy.millijoules - millijoules,
    method: 'derived',
  } as const;
  const piece: Piece = {
    kind: 'overhead',
    cause: (work?.graphs ?? 0) > 0 ? 'compile' : 'warmup',
    batchId,
    from: window.from,
    to: window.to,
    burnt: {
      millijoules,
      bound: null,
      method: 'derived',
      meter: meter === 'nvml_counter' ? meter : 'power_integral',
      flags,
    },
  };
  return { result: { ...result, shared: { ...result.shared, energy: rest } }, piece };
}
