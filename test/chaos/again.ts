import type { EntryEvidence } from './evidence.ts';

/** Why a job may be taken into another batch although nobody died. */
export interface Excuses {
  /** Batches that were under way when somebody had asked for them to be given up. */
  readonly givenUp: ReadonlySet<string>;
  /** The most pictures that fit into memory at once; null: as many as there are. */
  readonly fits: number | null;
  /** Jobs whose first picture is black, as planted, and which are made again with the safe settings. */
  readonly black: ReadonlySet<string>;
}

export const NO_EXCUSES: Excuses = { givenUp: new Set(), fits: null, black: new Set() };

/**
 * Every batch of a job but one is work done again. Of these, and each counted once:
 * - `retried_for_memory`: the batch had more pictures than fit, and made none of them;
 * - `given_up`: it was under way when somebody had asked for it to be given up;
 * - `remade_black`: one for each job that was planted to be black at first;
 * - `recomputed`: all others. Only a death explains them.
 */
export interface Again {
  readonly recomputed: number;
  readonly retried_for_memory: number;
  readonly given_up: number;
  readonly remade_black: number;
  /** Of those that did not run out of memory for their size: what one death can interrupt. */
  readonly largest_batch: number;
}

/** What was watched and what was booked see different batches: those that left no entry, and those over in a moment. */
export function madeAgain(
  entries: readonly EntryEvidence[],
  begun: ReadonlyMap<string, ReadonlySet<string>>,
  excuses: Excuses,
): Again {
  const batches = batchesOf(entries, begun);
  const sizes = sizesOf(entries, batches);
  const fruitful = new Set(entries.filter(({ active }) => active).map(({ batch }) => batch));
  const { fits, givenUp, black } = excuses;
  const isTooLarge = (batch: string) => fits !== null && (sizes.get(batch) ?? 0) > fits && !fruitful.has(batch);
  const again = { recomputed: 0, retried_for_memory: 0, given_up: 0, remade_black: 0 };
  for (const [job, own] of batches) {
    let left = own.size - 1;
    const take = (kind: keyof typeof again, most: number) => {
      const some = Math.min(left, most);
      again[kind] += some;
      left -= some;
    };
    const tooLarge = [...own].filter(isTooLarge);
    take('retried_for_memory', tooLarge.length);
    take('given_up', [...own].filter((batch) => givenUp.has(batch) && !tooLarge.includes(batch)).length);
    take('remade_black', black.has(job) ? 1 : 0);
    take('recomputed', left);
  }
  const largest = Math.max(0, ...[...sizes].flatMap(([batch, size]) => (isTooLarge(batch) ? [] : [size])));
  return { ...again, largest_batch: largest };
}

function batchesOf(
  entries: readonly EntryEvidence[],
  begun: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const batches = new Map([...begun].map(([job, seen]) => [job, new Set(seen)]));
  for (const { job, batch } of entries) {
    const known = batches.get(job);
    if (known === undefined) batches.set(job, new Set([batch]));
    else known.add(batch);
  }
  return batches;
}

function sizesOf(
  entries: readonly EntryEvidence[],
  batches: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const own of batches.values()) for (const batch of own) sizes.set(batch, (sizes.get(batch) ?? 0) + 1);
  for (const { batch, size } of entries) sizes.set(batch, Math.max(size, sizes.get(batch) ?? 0));
  return sizes;
}
