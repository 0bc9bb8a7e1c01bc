import { createHash } from 'node:crypto';
import type { Batch, BatchResult, EnergyReading, Entry, Marks, MeterBooking, Receipt, Settlement } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { overheadReceipt, type Prices } from './receipt.ts';

/**
 * The id of an entry, always the same for the same thing, so that writing it twice is writing it once.
 * @param batch carries the launch: `<launch id>-<number>`
 * @param job null for what belongs to the batch as a whole
 * @param kind `active`, or the cause of an overhead; with a number where a batch has several
 */
export function entryId(batch: string, job: string | null, kind: string): string {
  return createHash('sha256')
    .update(JSON.stringify([batch, job, kind]))
    .digest('hex')
    .slice(0, 32);
}

/** What became of each job of a batch; `wasted` is what the share of one without a picture is booked as. */
export type Outcome =
  | { readonly id: string; readonly state: 'done'; readonly path: string }
  | (Wasted & { readonly state: 'failed'; readonly error: { readonly code: string; readonly message: string } })
  | (Wasted & { readonly state: 'queued'; readonly marks: Marks })
  | (Wasted & { readonly state: 'withdrawn' });

interface Wasted {
  readonly id: string;
  readonly wasted: 'failed' | 'cancelled';
}

export interface SettlementParts {
  readonly batch: Batch;
  readonly result: BatchResult;
  /** By job id, as `receiptsFor` made them. */
  readonly receipts: ReadonlyMap<string, Receipt>;
  readonly outcomes: readonly Outcome[];
  readonly prices: Prices;
  readonly at: EpochMillis;
  /** What the books of the card say besides; null where no card was read. */
  readonly meter: MeterBooking | null;
}

/**
 * All that one batch leaves behind, for one transaction: a picture's receipt is `active`; a share that
 * ended in no picture is overhead `failed`, also where the job gets another try, or `cancelled` where somebody did not
 * want it; loads are overhead `load`.
 */
export function settlementOf(parts: SettlementParts): Settlement {
  const { batch, outcomes, at, meter } = parts;
  return {
    batchId: batch.id,
    at,
    entries: [...outcomes.flatMap((outcome) => entryOf(parts, outcome)), ...loadsOf(parts)],
    jobs: outcomes.flatMap(stateOf),
    ...(meter !== null && { meter }),
  };
}

function entryOf({ batch, result, receipts, at }: SettlementParts, outcome: Outcome): readonly Entry[] {
  const receipt = receipts.get(outcome.id);
  const job = batch.jobs.find((candidate) => candidate.id === outcome.id);
  if (receipt === undefined || job === undefined) return [];
  const cause = outcome.state === 'done' ? null : outcome.wasted;
  return [
    {
      id: entryId(batch.id, job.id, cause ?? 'active'),
      at,
      kind: cause === null ? 'active' : 'overhead',
      cause,
      runId: job.runId,
      jobId: job.id,
      batchId: batch.id,
      receipt,
      tags: {},
      ...spanOf(result.shared.energy),
    },
  ];
}

/** Booked to the run of the first job: the one that the load could not wait for. */
function loadsOf({ batch, result, receipts, prices, at }: SettlementParts): readonly Entry[] {
  const first = batch.jobs[0];
  const like = first === undefined ? undefined : receipts.get(first.id);
  if (first === undefined || like === undefined) return [];
  return result.overhead.map((spent, number): Entry => {
    return {
      id: entryId(batch.id, null, `${spent.cause}.${number}`),
      at,
      kind: 'overhead',
      cause: spent.cause,
      runId: first.runId,
      jobId: null,
      batchId: batch.id,
      receipt: overheadReceipt(like, spent, prices, at),
      tags: {},
      ...spanOf(spent.energy),
    };
  });
}

function spanOf({ window }: EnergyReading): Pick<Entry, 'span'> {
  return window === undefined ? {} : { span: { gpu: window.gpu, from: window.from, to: window.to } };
}

/** Nothing else of an outcome reaches the store, which knows already what was withdrawn. */
function stateOf(outcome: Outcome): Settlement['jobs'] {
  const { id, state } = outcome;
  if (state === 'done') return [{ id, state, path: outcome.path }];
  if (state === 'failed') return [{ id, state, error: { code: outcome.error.code, message: outcome.error.message } }];
  return state === 'queued' ? [{ id, state, marks: outcome.marks }] : [];
}
