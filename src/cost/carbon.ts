import type { Millijoules } from '../units.ts';

/** Grams of CO2 by a configured number; null where there is none. */
export function gramsOf(
  millijoules: Millijoules,
  { gramsPerKwh }: { readonly gramsPerKwh: number | null; readonly country: string | null },
): {
  readonly grams: number;
  readonly method: 'assumed' | 'derived';
  readonly source: string;
  readonly year: number | null;
} | null {
  if (gramsPerKwh === null) return null;
  return { grams: (millijoules / 3.6e9) * gramsPerKwh, method: 'derived', source: 'config', year: null };
}
