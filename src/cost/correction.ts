import type { Entry, Stretch } from '../ports.ts';
import { decimalOf, nanoOf } from '../units.ts';
import { idOf } from './stretches.ts';
import { dividedBy } from './tariff.ts';

/**
 * Takes what an adopted picture burnt out of what was booked as lost before it was found; at the price of that, because
 * nothing is priced again. Null where it is not known what it burnt.
 */
export function correctionOf(lost: Stretch, entry: Pick<Entry, 'id' | 'receipt'>): Stretch | null {
  const { joules } = entry.receipt.energy;
  if (joules === null || joules === 0 || lost.millijoules === null) return null;
  const millijoules = -Math.round(joules * 1_000);
  const { amount } = lost.cost;
  const nano =
    amount === null || lost.millijoules === 0
      ? 0n
      : dividedBy(nanoOf(amount) * BigInt(millijoules), BigInt(lost.millijoules));
  return {
    ...lost,
    id: idOf([lost.id, entry.id]),
    millijoules,
    bound: null,
    cost: { ...lost.cost, amount: amount === null ? null : decimalOf(nano) },
    corrects: lost.id,
  };
}
