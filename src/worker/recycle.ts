import type { Bytes } from '../units.ts';

/** When a worker that is well is replaced all the same, because what it leaks would end it at a worse time. */
export interface RecycleRule {
  /** Pictures of one process; null: as many as there are. */
  readonly pictures: number | null;
  /** By how much its resident memory may exceed that after the second batch of its engine; null: by any. */
  readonly growth: Bytes | null;
}

export const NEVER: RecycleRule = { pictures: null, growth: null };

/** What one process has been through. */
export interface Wear {
  readonly pictures: number;
  /** Of the process, after the batches that the engine now loaded has made: after the second of them, and after the last. */
  readonly memory: { readonly batches: number; readonly second: Bytes; readonly last: Bytes };
}

const UNUSED: Wear['memory'] = { batches: 0, second: 0, last: 0 };
export const UNWORN: Wear = { pictures: 0, memory: UNUSED };

/** Another engine has another footprint. */
export function afterLoad(wear: Wear): Wear {
  return { ...wear, memory: UNUSED };
}

export function afterBatch(wear: Wear, batch: { readonly pictures: number; readonly resident: Bytes }): Wear {
  const batches = wear.memory.batches + 1;
  // The first batch fills caches that the second one finds.
  const second = batches <= 2 ? batch.resident : wear.memory.second;
  return { pictures: wear.pictures + batch.pictures, memory: { batches, second, last: batch.resident } };
}

/** Why it is to be replaced, as the end of a sentence; null while it may go on. */
export function reasonToReplace({ pictures, memory }: Wear, rule: RecycleRule): string | null {
  if (rule.pictures !== null && pictures >= rule.pictures) return `it has made ${pictures} pictures`;
  const grown = memory.last - memory.second;
  if (rule.growth === null || grown <= rule.growth) return null;
  return `its memory has grown by ${Math.round(grown / 2 ** 20)} MiB since its second batch`;
}
