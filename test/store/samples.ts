/** Jobs, receipts and entries as small as they may be, for every test that needs a store. */
import type { Entry, Job, NewJob, Receipt, ReceiptDetails, RunWrite } from '../../src/ports.ts';

export function jobOf(runId: string, index: number, change: Partial<Job['request']> = {}): Job {
  return {
    id: `${runId}-${String(index).padStart(6, '0')}`,
    runId,
    request: {
      model: 'tiny',
      modelHash: `sha256:${'0'.repeat(64)}`,
      prompt: `a kiln, number ${index}`,
      negativePrompt: '',
      seed: index,
      width: 512,
      height: 512,
      steps: 20,
      guidance: 7,
      distilledGuidance: null,
      scheduler: 'dpmpp_2m',
      schedule: 'karras',
      loras: [],
      vae: null,
      clipSkip: 0,
      initImage: null,
      strength: null,
      ...change,
    },
    modelPath: '/models/tiny',
    family: 'sd',
    anatomy: null,
    loraPaths: [],
    loraBytes: 0,
    preset: 'auto',
    target: `/out/${runId}/${index}.png`,
    format: 'png',
    sidecar: null,
    priority: 'bulk',
  };
}

export function newJob(job: Job, index: number): NewJob {
  return { index, lineKey: `1:line ${index}`, occurrence: 0, k: 1, job };
}

export function runWrite(id: string, jobs: number, change: Partial<RunWrite['run']> = {}): RunWrite {
  return {
    run: {
      id,
      name: `name of ${id}`,
      contentKey: 'content',
      named: false,
      launch: 'launch-a',
      served: false,
      outDir: '/out',
      tags: {},
      ...change,
    },
    claimedFrom: null,
    add: Array.from({ length: jobs }, (_, index) => newJob(jobOf(id, index), index)),
    requeue: [],
  };
}

export function receiptOf(batchId: string, change: Partial<Receipt> = {}): Receipt {
  return {
    v: 1,
    provider: 'local',
    device: 'cpu',
    engine: 'engine-1',
    preset: 'auto',
    settings: { device: 'cpu', dtype: 'float32' },
    model: 'tiny',
    batch: { id: batchId, size: 2 },
    seconds: { share: 1.25, batch: 2.5, method: 'measured' },
    peak_memory_bytes: { value: 123_456_789, method: 'measured' },
    energy: { joules: 81.251, method: 'assumed', meter: 'model', flags: ['configured_watts'] },
    cost: { amount: 0.000006771, currency: 'EUR', method: 'assumed' },
    price: 'flat:0.3:EUR:default',
    ...change,
  };
}

/** What receipts of older versions lack. */
export const DETAILS: ReceiptDetails = {
  downgrades: [{ setting: 'tf32', asked: 'True', in_effect: 'False', reason: 'a processor has none' }],
  steps: { count: 20, median_seconds: 0.0425 },
  work: { teraflops: 12.5, mfu: null, calls: 20, graphs: 0, cached_prompts: 1 },
  peaks: { allocated_bytes: 1_000, reserved_bytes: 2_000, device_bytes: null },
};

export function activeEntry(runId: string, jobId: string, batchId: string, change: Partial<Entry> = {}): Entry {
  return {
    id: `${batchId}/${jobId}/active`,
    at: 1000,
    kind: 'active',
    cause: null,
    runId,
    jobId,
    batchId,
    receipt: receiptOf(batchId),
    tags: {},
    ...change,
  };
}

/** A settlement in which each of these jobs of a run got its picture. */
export function madeIn(batchId: string, runId: string, indexes: readonly number[]) {
  const ids = indexes.map((index) => jobOf(runId, index).id);
  return {
    batchId,
    at: 1000,
    entries: ids.map((id) => activeEntry(runId, id, batchId)),
    jobs: ids.map((id) => ({ id, state: 'done' as const, path: `/out/${batchId}/${id}.png` })),
  };
}
