import { type Outcome, settlementOf } from '../../../src/cost/entries.ts';
import { receiptsFor } from '../../../src/cost/receipt.ts';
import type { Batch, BatchResult, EnergyReading, ImageMetadata, Receipt } from '../../../src/ports.ts';
import { jobOf } from '../../store/samples.ts';
import { NO_METER, PRICES } from '../batches.ts';

export type Fate = 'made' | 'failed' | 'cancelled';

let jobs = 0;

export function nextBatch(id: string, device: string, size: number): Batch {
  const some = Array.from({ length: size }, () => {
    jobs += 1;
    return { ...jobOf('month', jobs), temporary: `/out/.tmp-${jobs}.png` };
  });
  return { id, key: 'key', device, safe: false, jobs: some };
}

/** @param energy of the batch; null where its worker died over it */
export function resultWith(batch: Batch, loads: readonly EnergyReading[], energy: EnergyReading | null): BatchResult {
  const phases = { encode: 0, denoise: 0, decode: 0, save: 0 };
  return {
    answers: batch.jobs.map(({ id, temporary }) =>
      energy === null
        ? { kind: 'failure', job: id, code: 'worker_died', message: 'it died', retryable: true }
        : { kind: 'made', job: id, temporary, width: 512, height: 512 },
    ),
    shared: {
      ...{ seconds: 20, phases, peakMemory: null, peaks: null, steps: null, work: null, energy: energy ?? NO_METER },
      engine: { id: 'engine', preset: 'quality', settings: {}, downgrades: [], versions: {} },
    },
    overhead: loads.map((load) => ({ cause: 'load', seconds: 10, energy: load })),
  };
}

export function receiptsOf(batch: Batch, result: BatchResult, at: number): ReadonlyMap<string, Receipt> {
  return receiptsFor(batch, result, PRICES, 'local', at);
}

export function settlementWith(
  batch: Batch,
  ended: { readonly result: BatchResult; readonly meter: Parameters<typeof settlementOf>[0]['meter'] },
  fates: readonly Fate[],
  at: number,
) {
  const outcomes = batch.jobs.map(({ id }, place): Outcome => {
    const fate = fates[place] ?? 'made';
    if (fate === 'made') return { id, state: 'done', path: `/out/${id}.png` };
    if (fate === 'cancelled') return { id, state: 'withdrawn', wasted: 'cancelled' };
    return { id, state: 'failed', error: { code: 'black_image', message: 'it is black' }, wasted: 'failed' };
  });
  const receipts = receiptsOf(batch, ended.result, at);
  return settlementOf({ batch, receipts, outcomes, prices: PRICES, at, ...ended });
}

/** A finished picture on the disk, with its receipt in it. */
export interface Found {
  readonly job: { readonly id: string; readonly runId: string };
  readonly path: string;
  readonly metadata: ImageMetadata;
}

export function foundPicture({ id, runId }: Batch['jobs'][number], receipt: Receipt): Found {
  const kilnwatt = { v: 1, job: id, run: runId, request_key: 'key', receipt, software: 'kilnwatt test' } as const;
  return { job: { id, runId }, path: `/out/${id}.png`, metadata: { parameters: null, kilnwatt } };
}
