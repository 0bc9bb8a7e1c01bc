import { AppError, sentenceOf } from '../errors.ts';
import type { Batch, BatchResult, EnergyReading, Failure } from '../ports.ts';

/** The answers of a batch for which no pass was made: it took nothing but its overhead. */
export function refusal(
  answers: readonly Failure[],
  { preset, overhead = [] }: { readonly preset: string; readonly overhead?: BatchResult['overhead'] },
): BatchResult {
  const phases = { encode: 0, denoise: 0, decode: 0, save: 0 };
  const energy: EnergyReading = { millijoules: 0, method: 'derived', meter: 'none' };
  const engine = { id: 'none', preset, settings: {}, downgrades: [], versions: {} };
  return {
    answers,
    shared: { seconds: 0, phases, peakMemory: null, peaks: null, steps: null, work: null, energy, engine },
    overhead,
  };
}

/** One answer for all jobs. */
export function failuresOf(batch: Batch, error: AppError): readonly Failure[] {
  return batch.jobs.map(({ id }) => failureOf(id, error));
}

export function failureOf(job: string, { code, message, retryable }: AppError): Failure {
  return { kind: 'failure', job, code, message, retryable };
}

/** The answer of a job that was given up, by the reason that its signal carries. */
export function givenUpFailure(job: string, reason: unknown): Failure {
  const code = reason instanceof AppError ? reason.code : 'cancelled';
  return { kind: 'failure', job, code, message: sentenceOf(reason), retryable: false };
}

export function firstOf(batch: Batch): Batch['jobs'][number] {
  const [first] = batch.jobs;
  if (first === undefined) throw new RangeError(`batch ${batch.id} has no jobs`);
  return first;
}
