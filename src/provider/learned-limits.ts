import type { Clock, Device, LearnedLimit } from '../ports.ts';
import { type Fit, isBelieved } from '../preset/belief.ts';

/** Where limits outlive this process. */
export interface LimitKeeper {
  readonly known: readonly LearnedLimit[];
  /** Told of each limit that is new, or lower than the one believed before. */
  learn(limit: LearnedLimit): void;
}

/** Knows nothing, keeps nothing. */
export const FORGETFUL: LimitKeeper = { known: [], learn: () => {} };

export type Place = Pick<LearnedLimit, 'device' | 'model' | 'shape'>;
type Learned = Fit & Pick<LearnedLimit, 'at'>;

/** A load that runs out of memory does so whatever is to be made. */
const EVERY_SHAPE = '*';

/**
 * What did not fit into memory, so that nothing runs into the same wall twice. Limits only ever go down, until they are
 * too old to be believed; what they forbade is tried again then.
 */
export class LearnedLimits {
  readonly #keeper: LimitKeeper;
  readonly #clock: Pick<Clock, 'now'>;
  /** By device, model and shape, then by engine. */
  readonly #fits = new Map<string, Map<string, Learned>>();

  constructor(keeper: LimitKeeper, clock: Pick<Clock, 'now'>) {
    this.#keeper = keeper;
    this.#clock = clock;
    for (const known of keeper.known) this.#lower(known, known.limit === 0 ? [1] : []);
  }

  /** By engine. */
  of(place: Place): ReadonlyMap<string, Fit> {
    const ofEveryShape = this.#believed({ ...place, shape: EVERY_SHAPE });
    return new Map([...this.#believed(place), ...ofEveryShape]);
  }

  /** @param what the load, or a batch of this many pictures */
  ranOut(place: Place, engine: string, what: 'load' | number): void {
    const shape = what === 'load' ? EVERY_SHAPE : place.shape;
    const most = what === 'load' ? 0 : Math.floor(what / 2);
    const limit = { ...place, engine, shape, limit: most, at: this.#clock.now() };
    if (this.#lower(limit, what === 'load' ? [] : [what])) this.#keeper.learn(limit);
  }

  #believed(place: Place): readonly (readonly [string, Learned])[] {
    const now = this.#clock.now();
    return [...(this.#fits.get(placeKey(place)) ?? [])].filter(([, learned]) => isBelieved(learned, now));
  }

  /** Returns whether it is news. */
  #lower({ engine, limit, at, ...place }: LearnedLimit, sizes: readonly number[]): boolean {
    const before = new Map(this.#believed(place)).get(engine);
    const fits = this.#fits.get(placeKey(place)) ?? new Map<string, Learned>();
    this.#fits.set(placeKey(place), fits);
    const tried = before === undefined || before.tried === 'load' ? [] : before.tried;
    const isNews = before === undefined || limit < before.limit;
    fits.set(engine, {
      limit: isNews ? limit : before.limit,
      at: isNews ? at : before.at,
      tried: place.shape === EVERY_SHAPE ? 'load' : [...new Set([...tried, ...sizes])],
    });
    return isNews;
  }
}

/** All workers on a processor share its memory; a card has its own, wherever it is plugged in. */
export function memoryOf({ id, kind, uuid }: Device): string {
  return kind === 'cpu' ? 'cpu' : (uuid ?? id);
}

export function placeKey({ device, model, shape }: Place): string {
  return `${device} ${model} ${shape}`;
}
