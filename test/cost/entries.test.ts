import { describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import { entryId, type Outcome, settlementOf } from '../../src/cost/entries.ts';
import { receiptsFor } from '../../src/cost/receipt.ts';
import type { BatchResult } from '../../src/ports.ts';
import { AT, batchOf, metered, NO_METER, PRICES, resultOf } from './batches.ts';

const batch = batchOf([{}, { steps: 40 }, {}]);
const [made, broken, back] = batch.jobs.map((job) => job.id);
const outcomes: readonly Outcome[] = [
  { id: made ?? '', state: 'done', path: '/out/0.png' },
  {
    id: broken ?? '',
    state: 'failed',
    error: { code: 'black_image', message: 'the picture is black' },
    wasted: 'failed',
  },
  { id: back ?? '', state: 'queued', marks: CLEAN, wasted: 'failed' },
];
const load = { cause: 'load', seconds: 3, energy: NO_METER } as const;

function settlement(result: BatchResult) {
  const receipts = receiptsFor(batch, result, PRICES, 'local', AT);
  return settlementOf({ meter: null, batch, result, receipts, outcomes, prices: PRICES, at: 42 });
}

describe('the settlement of a batch', () => {
  const result = { ...resultOf(batch, metered(100_003)), overhead: [load, load] };

  it('books a picture as active, and a share without a picture as failed, also where it is tried again', () => {
    expect(
      settlement(result)
        .entries.slice(0, 3)
        .map(({ kind, cause, jobId }) => [kind, cause, jobId]),
    ).toEqual([
      ['active', null, made],
      ['overhead', 'failed', broken],
      ['overhead', 'failed', back],
    ]);
  });

  it('lets no neighbour pay for a failure: all shares add up to the batch', () => {
    const joules = settlement(result)
      .entries.slice(0, 3)
      .map((entry) => entry.receipt.energy.joules);
    expect(joules).toEqual([25.001, 50.001, 25.001]);
  });

  it('books every load to the run that could not wait for it', () => {
    const loads = settlement(result).entries.slice(3);
    expect(loads.map(({ kind, cause, runId, jobId }) => [kind, cause, runId, jobId])).toEqual([
      ['overhead', 'load', 'r1', null],
      ['overhead', 'load', 'r1', null],
    ]);
    expect(loads[0]?.receipt.energy).toMatchObject({ joules: 900, method: 'assumed' });
    expect(loads[0]?.id).not.toBe(loads[1]?.id);
  });

  it('tells the store what became of each job, and nothing else', () => {
    const noisy = outcomes.map((outcome) =>
      outcome.state === 'queued' ? { ...outcome, error: new Error('again') } : outcome,
    );
    const receipts = receiptsFor(batch, result, PRICES, 'local', AT);
    const parts = { batch, result, receipts, outcomes: noisy, prices: PRICES, at: 42, meter: null };
    expect(settlementOf(parts)).toMatchObject({ batchId: 'launch-7', at: 42 });
    expect(settlementOf(parts).jobs).toEqual([
      outcomes[0],
      { id: broken, state: 'failed', error: { code: 'black_image', message: 'the picture is black' } },
      { id: back, state: 'queued', marks: CLEAN },
    ]);
  });

  it('books a share that somebody gave up as cancelled, and leaves the state of that job to whoever did', () => {
    const receipts = receiptsFor(batch, result, PRICES, 'local', AT);
    const withdrawn: Outcome = { id: made ?? '', state: 'withdrawn', wasted: 'cancelled' };
    const paused: Outcome = { id: back ?? '', state: 'queued', marks: CLEAN, wasted: 'cancelled' };
    const parts = { batch, result, receipts, outcomes: [withdrawn, paused], prices: PRICES, at: 42, meter: null };
    const { entries, jobs } = settlementOf(parts);
    expect(entries.slice(0, 2).map(({ kind, cause }) => [kind, cause])).toEqual(
      Array(2).fill(['overhead', 'cancelled']),
    );
    expect(jobs).toEqual([{ id: back, state: 'queued', marks: CLEAN }]);
  });

  it('is the same whenever it is computed from the same things', () => {
    expect(settlement(result)).toEqual(settlement(result));
  });
});

describe('the id of an entry', () => {
  it('is its own for each batch, job and kind, and always the same', () => {
    const ids = [
      entryId('launch-1', 'r1-000001', 'active'),
      entryId('launch-2', 'r1-000001', 'active'),
      entryId('launch-1', 'r1-000002', 'active'),
      entryId('launch-1', 'r1-000001', 'failed'),
      entryId('launch-1', null, 'active'),
      entryId('launch-1', 'null', 'active'),
    ];
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids[0]).toBe('2f0e2f358a148823443b97da631303ae');
  });
});
