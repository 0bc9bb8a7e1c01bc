import type { EpochMillis, Millijoules, Millis } from '../units.ts';

export const HOUR: Millis = 3_600_000;

/** What an hour took, as far as it is known how much. */
export interface HourSums {
  total: Millijoules;
  foreign: Millijoules;
  unknown: Millijoules;
  /** In batches, whatever became of them. */
  ours: Millijoules;
  /** At rest, and around the windows of batches. */
  idle: Millijoules;
}

export type HourKind = Exclude<keyof HourSums, 'total'>;

/** Energy by hours of UTC; what spans several of them is divided by time. */
export class Hours {
  readonly sums = new Map<EpochMillis, HourSums>();
  /** By begin of an hour: the smaller part of what was divided there, which may be where the larger is. */
  readonly divided = new Map<EpochMillis, Millijoules>();

  add(kind: HourKind, energy: Millijoules, from: EpochMillis, to: EpochMillis): void {
    const first = hourOf(from);
    if (to <= first + HOUR) {
      this.#put(kind, energy, first);
      return;
    }
    for (let hour = first; hour < to; hour += HOUR) {
      const part = (Math.min(to, hour + HOUR) - Math.max(from, hour)) / (to - from);
      this.#put(kind, energy * part, hour);
      if (hour <= from) continue;
      const before = (hour - from) / (to - from);
      const least = Math.abs(energy) * Math.min(before, 1 - before);
      this.divided.set(hour, (this.divided.get(hour) ?? 0) + least);
    }
  }

  #put(kind: HourKind, energy: Millijoules, hour: EpochMillis): void {
    const sums = this.sums.get(hour) ?? { total: 0, foreign: 0, unknown: 0, ours: 0, idle: 0 };
    sums[kind] += energy;
    sums.total += energy;
    this.sums.set(hour, sums);
  }
}

export function hourOf(at: EpochMillis): EpochMillis {
  return Math.floor(at / HOUR) * HOUR;
}
