import type { Method, Millijoules, Seconds, Watts } from '../units.ts';

export interface WallQuestion {
  /** Of all cards of the host together; null where unknown. */
  readonly gpuMillijoules: Millijoules | null;
  readonly seconds: Seconds;
  /** Part of what the supply takes from the wall that it passes on, 0 … 1; null where nobody said. */
  readonly efficiency: number | null;
  /** Of the rest of the host, behind the supply; null where nobody said. */
  readonly hostWatts: Watts | null;
}

/**
 * What was taken from the wall for it: never better than derived, since one efficiency stands for all loads. Unknown where
 * either figure of the host is: half of it would look like all of it.
 */
export function wallOf({ gpuMillijoules, seconds, efficiency, hostWatts }: WallQuestion): {
  readonly millijoules: Millijoules | null;
  readonly method: Extract<Method, 'derived' | 'unknown'>;
} {
  if (gpuMillijoules === null || efficiency === null || hostWatts === null)
    return { millijoules: null, method: 'unknown' };
  return { millijoules: Math.round((gpuMillijoules + hostWatts * seconds * 1000) / efficiency), method: 'derived' };
}
