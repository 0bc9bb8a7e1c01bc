import type { Clock, Measurement } from '../ports.ts';
import { isFresh } from '../preset/belief.ts';
import type { EpochMillis, Millis } from '../units.ts';
import { type Place, placeKey } from './learned-limits.ts';

/** Where measurements outlive this process. */
export interface MeasurementKeeper {
  readonly known: readonly Measurement[];
  /** Told of the first of its kind at once, and of those that follow now and then. */
  note(measurement: Measurement): void;
}

/** Knows nothing, keeps nothing. */
export const UNMEASURED: MeasurementKeeper = { known: [], note: () => {} };

/** Batches may end many times a second; what is lost with this process is less than this of figures. */
const KEEP_EVERY: Millis = 60_000;

export type Figures = Pick<Measurement, 'engine' | 'batch' | 'stepSeconds' | 'otherSeconds' | 'peakBytes'>;

/** What batches took, the newest figures of each kind, for as long as they are believed. */
export class Measurements {
  readonly #keeper: MeasurementKeeper;
  readonly #clock: Pick<Clock, 'now'>;
  /** By device, model and shape, then by engine and size. */
  readonly #places = new Map<string, Map<string, Measurement>>();
  readonly #kept = new Map<string, EpochMillis>();

  constructor(keeper: MeasurementKeeper, clock: Pick<Clock, 'now'>) {
    this.#keeper = keeper;
    this.#clock = clock;
    for (const known of keeper.known) this.#at(known).set(kindOf(known), known);
  }

  of(place: Place): readonly Measurement[] {
    const now = this.#clock.now();
    return [...this.#at(place).values()].filter((one) => isFresh(one, now));
  }

  /**
   * @param isFirst whether it was the first batch after a load, in which everything is warmed up: that is better than
   *   nothing, and worse than what was known
   */
  note(place: Place, figures: Figures, isFirst: boolean): void {
    const { device, model, shape } = place;
    const kind = kindOf(figures);
    const before = this.of(place).find((one) => kindOf(one) === kind);
    if (isFirst && before !== undefined) return;
    const at = this.#clock.now();
    const measurement = { device, model, shape, ...figures, count: (before?.count ?? 0) + 1, at };
    this.#at(place).set(kind, measurement);
    const key = `${placeKey(place)} ${kind}`;
    if (Math.abs(at - (this.#kept.get(key) ?? Number.NEGATIVE_INFINITY)) < KEEP_EVERY) return;
    this.#kept.set(key, at);
    this.#keeper.note(measurement);
  }

  #at(place: Place): Map<string, Measurement> {
    const key = placeKey(place);
    const found = this.#places.get(key) ?? new Map<string, Measurement>();
    this.#places.set(key, found);
    return found;
  }
}

function kindOf({ engine, batch }: Pick<Measurement, 'engine' | 'batch'>): string {
  return `${engine} ${batch}`;
}
