import type { EnergyFlag, Mark, NewMark } from '../ports.ts';
import type { Method, Millijoules, Millis } from '../units.ts';

/** Marks of one launch are never further apart, unless the meters were silent in between, or a worker's window is. */
export const SILENCE: Millis = 10_000;
/** A counter that stands still for so long is dead: no card draws nothing. */
export const STUCK: Millis = 5_000;

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
 * Marks without those that were overtaken: once the windows of a batch are told, they stand for all that comes after the
 * begin of the first of them. What was marked of the batch before they were told has a lower number than that one.
 * @param marks in the order of their times
 */
export function inForce(marks: readonly Mark[]): readonly Mark[] {
  /** By batch: the number of the first window's mark. */
  const told = new Map<string, number>();
  return marks.filter((mark) => {
    const { batchId, number } = mark;
    if (batchId === null) return true;
    if (isWindow(mark) && !told.has(batchId)) told.set(batchId, number);
    const first = told.get(batchId);
    return first === undefined || (mark.after !== 'work' && number >= first);
  });
}
