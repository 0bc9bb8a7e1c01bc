import { describe, expect, it } from 'vitest';
import { type Excuses, madeAgain, NO_EXCUSES } from './again.ts';
import type { EntryEvidence } from './evidence.ts';

/** By batch, its jobs. */
type Batches = Readonly<Record<string, readonly string[]>>;

describe('what was made again', () => {
  it('is, without an excuse, every batch of a job beyond its first', () => {
    const again = count({ died: ['a', 'b'], last: ['a', 'b', 'c'] }, { made: 'last' });
    expect(again).toMatchObject({ recomputed: 2, retried_for_memory: 0, given_up: 0, largest_batch: 3 });
  });

  it('for want of memory is counted apart, and makes the largest batch no larger', () => {
    const batches = { large: ['a', 'b', 'c'], one: ['a', 'b'], two: ['c'] };
    const again = count(batches, { made: 'one', fits: 2 });
    expect(again).toMatchObject({ recomputed: 0, retried_for_memory: 3, largest_batch: 2 });
  });

  it('of a batch that was larger than what fits and made pictures all the same is no matter of memory', () => {
    expect(count({ large: ['a', 'b', 'c'], one: ['a'] }, { made: 'large', fits: 2 })).toMatchObject({
      recomputed: 1,
      retried_for_memory: 0,
      largest_batch: 3,
    });
  });

  it('because somebody asked is counted apart, and so is a black picture, once', () => {
    const batches = { paused: ['a', 'b'], black: ['a'], last: ['a', 'b'] };
    const again = count(batches, { made: 'last', givenUp: new Set(['paused']), black: new Set(['a', 'b']) });
    expect(again).toMatchObject({ recomputed: 0, given_up: 2, remade_black: 1 });
  });

  it('is nothing for a batch that was to be given up and was finished', () => {
    const again = count({ paused: ['a'] }, { made: 'paused', givenUp: new Set(['paused']) });
    expect(again).toMatchObject({ recomputed: 0, given_up: 0 });
  });
});

function count(batches: Batches, { made, ...excuses }: Partial<Excuses> & { readonly made: string }) {
  const begun = new Map<string, Set<string>>();
  for (const [batch, jobs] of Object.entries(batches))
    for (const job of jobs) begun.set(job, new Set([...(begun.get(job) ?? []), batch]));
  const jobs = batches[made] ?? [];
  const entries: EntryEvidence[] = jobs.map((job) => ({ job, batch: made, size: jobs.length, active: true }));
  return madeAgain(entries, begun, { ...NO_EXCUSES, ...excuses });
}
