import type { Device, LearnedLimit } from '../ports.ts';
import type { Fit } from '../preset/ladder.ts';

/** Where limits outlive this process. */
export interface LimitKeeper {
  readonly known: readonly LearnedLimit[];
  /** Told of each limit that is new or lower than before. */
  learn(limit: LearnedLimit): void;
}

/** Knows nothing, keeps nothing. */
export const FORGETFUL: LimitKeeper = { known: [], learn: () => {} };

type Place = Pick<LearnedLimit, 'device' | 'model' | 'shape'>;

/** A load that runs out of memory does so whatever is to be made. */
const EVERY_SHAPE = '*';

/** What did not fit into memory, so that nothing runs into the same wall twice. Limits only ever go down. */
export class LearnedLimits {
  readonly #keeper: LimitKeeper;
  /** By device, model and shape, then by engine. */
  readonly #fits = new Map<string, Map<string, Fit>>();

  constructor(keeper: LimitKeeper) {
    this.#keeper = keeper;
    for (const known of keeper.known) this.#lower(known, known.limit === 0 ? [1] : []);
  }

  /** By engine. */
  of(place: Place): ReadonlyMap<string, Fit> {
    const ofEveryShape = this.#fits.get(keyOf({ ...place, shape: EVERY_SHAPE })) ?? [];
    return new Map([...(this.#fits.get(keyOf(place)) ?? []), ...ofEveryShape]);
  }

  /** @param what the load, or a batch of this many pictures */
  ranOut(place: Place, engine: string, what: 'load' | number): void {
    const shape = what === 'load' ? EVERY_SHAPE : place.shape;
    const limit = { ...place, engine, shape, limit: what === 'load' ? 0 : Math.floor(what / 2) };
    if (this.#lower(limit, what === 'load' ? [] : [what])) this.#keeper.learn(limit);
  }

  /** Returns whether it is news. */
  #lower({ engine, limit, ...place }: LearnedLimit, sizes: readonly number[]): boolean {
    const fits = this.#fits.get(keyOf(place)) ?? new Map<string, Fit>();
    this.#fits.set(keyOf(place), fits);
    const before = fits.get(engine);
    const tried = before === undefined || before.tried === 'load' ? [] : before.tried;
    fits.set(engine, {
      limit: Math.min(limit, before?.limit ?? limit),
      tried: place.shape === EVERY_SHAPE ? 'load' : [...new Set([...tried, ...sizes])],
    });
    return before === undefined || limit < before.limit;
  }
}

/** All workers on a processor share its memory; a card has its own, wherever it is plugged in. */
export function memoryOf({ id, kind, uuid }: Device): string {
  return kind === 'cpu' ? 'cpu' : (uuid ?? id);
}

function keyOf({ device, model, shape }: Place): string {
  return `${device} ${model} ${shape}`;
}
