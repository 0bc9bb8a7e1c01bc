import type { Clock, Measurement } from '../ports.ts';
import { isFresh } from '../preset/belief.ts';
import { SURE } from '../preset/speed.ts';
import type { EpochMillis, Millis } from '../units.ts';
import { type Place, placeKey } from './learned-limits.ts';

/** Where measurements outlive this process. */
export interface MeasurementKeeper {
  readonly known: readonly Measurement[];
  /** Told of the first ones of each kind at once, and of those that follow now and then. */
  note(measurement: Measurement): void;
}

/** Knows nothing, keeps nothing. */
export const UNMEASURED: MeasurementKeeper = { known: [], note: () => {} };

/** Batches may end many times a second; what is lost with this process is less than this of figures. */
const KEEP_EVERY: Millis = 60_000;

export type Figures = Pick<Measurement, 'engine' | 'batch' | 'stepSeconds' | 'otherSeconds' | 'peakBytes'>;
type Took = Omit<Figures, 'engine' | 'batch'>;

/** So many batches are looked at together: any of them may have been disturbed by other programs. */
const LAST = 3;

/** What batches took, figures of the last few of each kind, for as long as they are believed. */
export class Measurements {
  readonly #keeper: MeasurementKeeper;
  readonly #clock: Pick<Clock, 'now'>;
  /** By device, model and shape, then by engine and size. */
  readonly #places = new Map<string, Map<string, Measurement>>();
  /** By place and kind, warm ones, the newest first. */
  readonly #last = new Map<string, readonly Took[]>();
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
   * @param isCold whether everything was warmed up or compiled in it, as in the first batch after a load: then it tells
   *   of memory alone
   */
  note(place: Place, figures: Figures, isCold: boolean): void {
    const kind = kindOf(figures);
    const key = `${placeKey(place)} ${kind}`;
    const before = this.of(place).find((one) => kindOf(one) === kind);
    const at = this.#clock.now();
    const measurement = isCold ? cold(place, figures, before, at) : this.#warm(key, place, figures, before, at);
    this.#at(place).set(kind, measurement);
    const isNews = !isCold && measurement.count <= SURE;
    const last = this.#kept.get(key) ?? Number.NEGATIVE_INFINITY;
    if (!isNews && Math.abs(at - last) < KEEP_EVERY) return;
    this.#kept.set(key, at);
    this.#keeper.note(measurement);
  }

  #warm(
    key: string,
    { device, model, shape }: Place,
    figures: Figures,
    before: Measurement | undefined,
    at: EpochMillis,
  ): Measurement {
    const known = before === undefined || before.count === 0 ? [] : [before];
    const last = [figures, ...(known.length === 0 ? [] : (this.#last.get(key) ?? known))].slice(0, LAST);
    this.#last.set(key, last);
    return {
      ...{ device, model, shape, engine: figures.engine, batch: figures.batch },
      stepSeconds: Math.min(...last.map(({ stepSeconds }) => stepSeconds)),
      otherSeconds: Math.min(...last.map(({ otherSeconds }) => otherSeconds)),
      peakBytes: Math.max(...last.map(({ peakBytes }) => peakBytes)),
      count: (before?.count ?? 0) + 1,
      at,
    };
  }

  #at(place: Place): Map<string, Measurement> {
    const key = placeKey(place);
    const found = this.#places.get(key) ?? new Map<string, Measurement>();
    this.#places.set(key, found);
    return found;
  }
}

/** What is known of the times stays; the memory is the most of both, since every load comes through such a batch. */
function cold(place: Place, figures: Figures, before: Measurement | undefined, at: EpochMillis): Measurement {
  const { device, model, shape } = place;
  if (before === undefined) return { device, model, shape, ...figures, count: 0, at };
  return { ...before, peakBytes: Math.max(before.peakBytes, figures.peakBytes) };
}

function kindOf({ engine, batch }: Pick<Measurement, 'engine' | 'batch'>): string {
  return `${engine} ${batch}`;
}
