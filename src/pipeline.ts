import { Batcher } from './batch/batcher.ts';
import { batchKey } from './batch/key.ts';
import { settlementOf } from './cost/entries.ts';
import { type Prices, receiptsFor } from './cost/receipt.ts';

import { AppError, HandedBack, InputError, StorageError, sentenceOf, UnavailableError, WorkerDied } from './errors.ts';
import { parametersText } from './job/parameters.ts';
import { requestKey } from './job/request.ts';
import type {
  Batch,
  BatchResult,
  Clock,
  Failure,
  ImageMetadata,
  ImageStore,
  Job,
  Made,
  Progress,
  Provider,
  Queue,
  Receipt,
  Store,
} from './ports.ts';
import { adoptionOf } from './recovery.ts';
import type { PlannedRun } from './submission.ts';

/**
 * Puts a planned run into the store and its jobs into the queue: one transaction (`submitting`), the
 * queue, then `queued`. A process that dies in between leaves `submitting` jobs, which the next start
 * finishes or takes back.
 */
export async function submit(parts: SubmitParts, planned: PlannedRun): Promise<void> {
  await parts.store.writeRun({
    run: { ...planned.run, launch: parts.launch },
    claimedFrom: planned.existing?.launch ?? null,
    add: planned.add,
    requeue: planned.requeue,
  });
  parts.fault('run_written');
  await parts.enqueue(planned.jobs);
  parts.fault('run_enqueued');
  await parts.store.markQueued(planned.run.id);
}

export interface SubmitParts {
  readonly store: Store;
  readonly launch: string;
  /** Adds to whichever queue server is there now; the same ids twice are one job. */
  enqueue(jobs: readonly Job[]): Promise<void>;
  fault(point: 'run_written' | 'run_enqueued'): void;
}

/** Where a test may have the process killed: between each step of *Done, in this order*. */
export type WorkFault = 'receipt_computed' | 'batch_finished' | 'transaction_committed';

export interface WorkParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly queue: Queue;
  readonly images: ImageStore;
  readonly provider: Provider;
  readonly launch: string;
  readonly prices: Prices;
  /** Program and version, as pictures name it. */
  readonly software: string;
  /** What pictures say besides job id and receipt, which they always carry. */
  readonly texts: { readonly prompt: boolean; readonly cost: boolean };
  fault(point: WorkFault): void;
  /** Work cannot go on (full disk, no Python); the jobs in hand went back to the queue. The first one told is the reason. */
  onFatal(error: AppError): void;
  /** Something went wrong that is being mended: jobs are tried again. */
  onTrouble(sentence: string): void;
  onProgress?(progress: Progress): void;
}

export interface Working {
  /** Hands back what has not begun, finishes the running batches, and takes nothing more. May be called twice. */
  stop(): Promise<void>;
}

/** A failing job is tried this often in all before it fails for good; after the first time alone. */
const ATTEMPTS = 3;
/** So many batches in a row that ended with the worker's death say that it is not the pictures. */
const DEATHS_IN_A_ROW = 10;

/** Works the queue off, batch by batch on every device of the provider, until stopped. */
export function work(parts: WorkParts): Working {
  let batches = 0;
  let deathsInARow = 0;
  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopping ??= stopWork();
    return stopping;
  };
  const halt = (error: AppError): void => {
    parts.onFatal(error);
    stop().catch((cause: unknown) => parts.onFatal(fatalOf(cause)));
  };
  const batcher = new Batcher<Job>({
    timer: parts.clock,
    devices: parts.provider.devices.map((device) => device.id),
    keyOf,
    modelOf: (job) => job.request.modelHash,
    limit: (key, device) => parts.provider.limit(key, device),
    resident: (device) => parts.provider.resident(device),
    onWindow: (window) => worker.setWindow(window),
    run: async (jobs, key, device) => {
      batches += 1;
      try {
        const { answers, fatal, died } = await workOff(parts, { id: `${parts.launch}-${batches}`, key, device, jobs });
        deathsInARow = died ? deathsInARow + 1 : 0;
        if (fatal !== undefined) halt(fatal);
        else if (deathsInARow >= DEATHS_IN_A_ROW) halt(keepsDying(answers));
        return answers;
      } catch (error) {
        await handBack(parts, jobs);
        halt(fatalOf(error));
        throw new HandedBack();
      }
    },
  });
  const inHand = new Set<string>();
  const handle = async (job: Job, signal: AbortSignal): Promise<void> => {
    if (inHand.has(job.id)) throw new AppError(`${job.id} is being made already`, { code: 'in_hand', retryable: true });
    inHand.add(job.id);
    try {
      await batcher.submit(job, signal);
    } finally {
      inHand.delete(job.id);
    }
  };
  const worker = parts.queue.work(handle, { window: batcher.window });
  const stopWork = async (): Promise<void> => {
    const stopped = worker.stop();
    batcher.release(new HandedBack());
    await stopped;
  };
  return { stop };
}

/** A job that failed before travels alone: whoever it takes down with it, it is not its neighbours. */
function keyOf(job: Job): string {
  return job.attempt === 0 ? batchKey(job) : `${batchKey(job)}:${job.id}`;
}

function keepsDying(answers: readonly (Error | undefined)[]): AppError {
  const last = answers.find((answer) => answer !== undefined)?.message ?? 'no reason is known';
  const sentence = `the worker died ${DEATHS_IN_A_ROW} times in a row without finishing a batch; kilnwatt doctor looks at what it needs (${last})`;
  return new UnavailableError(sentence, { code: 'worker_keeps_dying' });
}

type JobsInHand = Omit<Batch, 'jobs'> & { readonly jobs: readonly Job[] };

interface WorkedOff {
  /** For each job undefined when it is settled, or the error that sends it on another trip. */
  readonly answers: readonly (Error | undefined)[];
  /** Why nothing more can be done after this batch. */
  readonly fatal: AppError | undefined;
  /** Whether it ended with the worker's death and no picture. */
  readonly died: boolean;
}

/** One batch, all the way: running → made → receipts → pictures on disk → one transaction. */
async function workOff(parts: WorkParts, hand: JobsInHand): Promise<WorkedOff> {
  const ids = hand.jobs.map((job) => job.id);
  const alive = new Set(await parts.store.markRunning(ids, hand.id));
  const riding = hand.jobs.filter((job) => alive.has(job.id));
  const fresh = await withoutFinished(parts, riding);
  const outcomes = fresh.length === 0 ? [] : await makeAndSettle(parts, { ...hand, jobs: fresh });
  tellTrouble(parts, outcomes);
  const trips = new Map(outcomes.map((outcome) => [outcome.id, tripOf(outcome)]));
  return {
    answers: ids.map((id) => trips.get(id)),
    fatal: outcomes.map(fatalIn).find((error) => error !== undefined),
    died: outcomes.length > 0 && outcomes.every(isDeath),
  };
}

function tellTrouble(parts: WorkParts, outcomes: readonly Outcome[]): void {
  const again = outcomes.filter((outcome) => outcome.state === 'queued' && fatalIn(outcome) === undefined);
  const [first] = again;
  if (first?.state !== 'queued') return;
  parts.onTrouble(`${again.length} of ${outcomes.length} jobs of a batch are tried again: ${first.error.message}`);
}

/** Settles those whose picture is on disk already: a batch was cut off between its pictures and its transaction. */
async function withoutFinished(parts: WorkParts, jobs: readonly Job[]): Promise<readonly Job[]> {
  const found = await Promise.all(jobs.map((job) => parts.images.find(job.target, job.id)));
  for (const [at, job] of jobs.entries()) {
    const picture = found[at];
    if (picture !== undefined) await parts.store.settle(adoptionOf(job, picture, parts.clock.now()));
  }
  return jobs.filter((_, at) => found[at] === undefined);
}

async function makeAndSettle(parts: WorkParts, hand: JobsInHand): Promise<readonly Outcome[]> {
  const jobs = await Promise.all(
    hand.jobs.map(async (job) => ({ ...job, temporary: await parts.images.prepare(job.target, job.id) })),
  );
  const batch: Batch = { ...hand, jobs };
  const result = await make(parts, batch);
  const receipts = receiptsFor(batch, result, parts.prices, parts.provider.name);
  parts.fault('receipt_computed');
  const outcomes = await Promise.all(
    jobs.map((job, at) => outcomeOf(parts, job, result.answers[at], receipts.get(job.id))),
  );
  await parts.images.syncFolders(outcomes.flatMap((outcome) => (outcome.state === 'done' ? [outcome.path] : [])));
  parts.fault('batch_finished');
  await parts.store.settle(
    settlementOf({ batch, result, receipts, outcomes, prices: parts.prices, at: parts.clock.now() }),
  );
  parts.fault('transaction_committed');
  return outcomes;
}

/** A picture that could not be put on disk is no failed attempt. */
function tripOf(outcome: Outcome): Error | undefined {
  if (outcome.state !== 'queued') return undefined;
  return fatalIn(outcome) === undefined ? outcome.error : new HandedBack();
}

function isDeath(outcome: Outcome): boolean {
  return outcome.state !== 'done' && outcome.error.code === 'worker_died';
}

function fatalIn(outcome: Outcome): AppError | undefined {
  return outcome.state === 'queued' && outcome.error instanceof StorageError ? outcome.error : undefined;
}

/** What became of one job: settled, or on its way back to the queue with the reason. */
export type Outcome =
  | { readonly id: string; readonly state: 'done'; readonly path: string }
  | {
      readonly id: string;
      readonly state: 'failed';
      readonly error: { readonly code: string; readonly message: string };
    }
  | { readonly id: string; readonly state: 'queued'; readonly error: AppError };

/** The provider's answers; a batch that got none at all becomes one failure a job. */
async function make(parts: WorkParts, batch: Batch): Promise<BatchResult> {
  try {
    return await parts.provider.make(batch, parts.onProgress === undefined ? {} : { onProgress: parts.onProgress });
  } catch (error) {
    if (!(error instanceof WorkerDied || error instanceof InputError)) throw error;
    return nothingMade(batch, error);
  }
}

function nothingMade(batch: Batch, error: AppError): BatchResult {
  const answers = batch.jobs.map((job): Failure => {
    return { kind: 'failure', job: job.id, code: error.code, message: error.message, retryable: error.retryable };
  });
  return {
    answers,
    shared: {
      seconds: 0,
      phases: { encode: 0, denoise: 0, decode: 0, save: 0 },
      peakMemory: null,
      energy: { millijoules: null, method: 'unknown', meter: 'none' },
      engine: { id: '', preset: batch.jobs[0]?.preset ?? '', settings: {}, versions: {} },
    },
    overhead: [],
  };
}

async function outcomeOf(
  parts: WorkParts,
  job: Batch['jobs'][number],
  answer: Made | Failure | undefined,
  receipt: Receipt | undefined,
): Promise<Outcome> {
  if (answer === undefined || receipt === undefined) {
    return failed(job, { code: 'internal', message: `the provider gave no answer for ${job.id}`, retryable: false });
  }
  if (answer.kind === 'failure') {
    await parts.images.discard(job.temporary);
    return failed(job, answer);
  }
  try {
    const metadata = metadataOf(parts, job, receipt);
    const { target, format, sidecar } = job;
    const path = await parts.images.finish({ temporary: answer.temporary, target, format, sidecar }, metadata);
    return { id: job.id, state: 'done', path };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    await parts.images.discard(job.temporary);
    if (error.code === 'image_broken')
      return failed(job, { code: error.code, message: error.message, retryable: true });
    return { id: job.id, state: 'queued', error };
  }
}

function failed(job: Job, failure: Pick<Failure, 'code' | 'message' | 'retryable'>): Outcome {
  const { code, message, retryable } = failure;
  if (retryable && job.attempt + 1 < ATTEMPTS)
    return { id: job.id, state: 'queued', error: new AppError(message, { code, retryable }) };
  return { id: job.id, state: 'failed', error: { code, message } };
}

function metadataOf(parts: WorkParts, job: Job, receipt: Receipt): ImageMetadata {
  const { request } = job;
  const core = {
    v: 1,
    job: job.id,
    run: job.runId,
    request_key: requestKey(request),
    receipt,
    software: parts.software,
  } as const;
  if (!parts.texts.prompt) return { parameters: null, kilnwatt: core };
  const text = { version: parts.software, modelName: request.model, ...(parts.texts.cost ? { cost: receipt } : {}) };
  return { parameters: parametersText(request, text), kilnwatt: { ...core, request } };
}

/** Jobs of a batch that never came to an end are waiting again, in the store as in the queue. */
async function handBack(parts: WorkParts, jobs: readonly Job[]): Promise<void> {
  const settlement = {
    batchId: 'handed-back',
    at: parts.clock.now(),
    entries: [],
    jobs: jobs.map((job) => ({ id: job.id, state: 'queued' as const })),
  };
  try {
    await parts.store.settle(settlement);
  } catch (error) {
    // The store itself is what failed: its next start finds these jobs running under a dead launch and takes them back.
    parts.onFatal(fatalOf(error));
  }
}

/** What is not ours to expect is a fault of ours, and keeps its stack. */
function fatalOf(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError(sentenceOf(error), { code: 'internal', cause: error });
}
