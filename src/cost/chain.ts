import type { EnergyFlag, NewMark } from '../ports.ts';
import type { Method, Millijoules, Millis } from '../units.ts';

/** Marks of one launch are never further apart, unless the meters were silent in between, or a worker's window is. */
export const SILENCE: Millis = 10_000;

/** What a card burnt in a stretch, by the best of its meters. */
export interface Burnt {
  readonly millijoules: Millijoules | null;
  readonly bound: Millijoules | null;
  readonly meter: 'nvml_counter' | 'power_integral' | 'none';
  readonly method: Method;
  readonly flags: readonly EnergyFlag[];
}

const UNREAD: Burnt = { millijoules: null, bound: null, meter: 'none', method: 'unknown', flags: [] };

/** By the counter; where that fell or was not read, by samples of power; else unknown. Never negative. */
export function burntBetween(begin: NewMark, end: NewMark): Burnt {
  const rise = begin.counter === null || end.counter === null ? null : end.counter - begin.counter;
  if (rise !== null && rise >= 0)
    return { millijoules: rise, bound: null, meter: 'nvml_counter', method: 'measured', flags: [] };
  const flags: readonly EnergyFlag[] = rise === null ? [] : ['counter_fell'];
  if (end.integral === null || begin.launch !== end.launch) return { ...UNREAD, flags };
  return { ...end.integral, meter: 'power_integral', method: 'derived', flags };
}

export function isWindow({ after }: NewMark): boolean {
  return after === 'load' || after === 'batch';
}

/**
 * Marks without those that were overtaken: while a batch is under way its marks say `work`, and once its windows are told,
 * these stand for all that comes after the first of them.
 * @param marks in the order of their times
 */
export function inForce<M extends NewMark>(marks: readonly M[]): readonly M[] {
  const told = new Set<string>();
  return marks.filter((mark) => {
    if (mark.batchId !== null && isWindow(mark)) told.add(mark.batchId);
    return mark.after !== 'work' || !told.has(mark.batchId ?? '');
  });
}
