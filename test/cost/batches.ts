/** Batches and their results for the tests of what pictures cost. */

import type { Prices } from '../../src/cost/receipt.ts';
import type { Batch, BatchResult, EnergyReading, Failure, Job, Made } from '../../src/ports.ts';
import { jobOf } from '../store/samples.ts';
import { flatTariff } from './terms.ts';

export const PRICES: Prices = {
  tariff: flatTariff(0.3),
  watts: { cpu: 65, gpu: 300 },
};

export const NO_METER: EnergyReading = { millijoules: null, method: 'unknown', meter: 'none' };

export function metered(millijoules: number): EnergyReading {
  return { millijoules, method: 'measured', meter: 'nvml_counter' };
}

export function batchOf(requests: readonly Partial<Job['request']>[], device = 'cuda:0'): Batch {
  const jobs = requests.map((request, index) => ({
    ...jobOf('r1', index, request),
    temporary: `/out/.tmp-${index}.png`,
  }));
  return { id: 'launch-7', key: 'key', device, safe: false, jobs };
}

export function resultOf(
  batch: Batch,
  energy: EnergyReading,
  change: Partial<BatchResult['shared']> = {},
): BatchResult {
  return {
    answers: batch.jobs.map((job): Made | Failure => {
      return { kind: 'made', job: job.id, temporary: job.temporary, width: 512, height: 512 };
    }),
    shared: {
      seconds: 4.5,
      phases: { encode: 0.25, denoise: 3.75, decode: 0.375, save: 0.125 },
      peakMemory: 1_288_490_188,
      peaks: null,
      steps: { count: 30, first: 0.25, median: 0.12, slowest: 0.25 },
      work: null,
      energy,
      engine: { id: 'engine-1', preset: 'quality', settings: { dtype: 'bfloat16' }, downgrades: [], versions: {} },
      ...change,
    },
    overhead: [],
  };
}

/** When batches were settled. */
export const AT = 1_780_000_000_000;
