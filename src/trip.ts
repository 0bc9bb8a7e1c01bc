import { settlementOf } from './cost/entries.ts';
import { type Prices, receiptsFor } from './cost/receipt.ts';
import { AppError, HandedBack, StorageError } from './errors.ts';
import { parametersText } from './job/parameters.ts';
import { requestKey } from './job/request.ts';
import type {
  Batch,
  Clock,
  Failure,
  ImageMetadata,
  ImageStore,
  Job,
  Made,
  Progress,
  Provider,
  Receipt,
  Store,
} from './ports.ts';
import { adoptionOf } from './recovery.ts';

/** A failing job is tried this often in all before it fails for good; after the first time alone. */
const ATTEMPTS = 3;

/** Where a test may have the process killed: between each step of *Done, in this order*. */
export type TripFault = 'receipt_computed' | 'batch_finished' | 'transaction_committed';

/** What one batch needs on its way. */
export interface TripParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly images: ImageStore;
  readonly provider: Provider;
  readonly prices: Prices;
  /** Program and version, as pictures name it. */
  readonly software: string;
  /** What pictures say besides job id and receipt, which they always carry. */
  readonly texts: { readonly prompt: boolean; readonly cost: boolean };
  fault(point: TripFault): void;
  /** Something went wrong that is being mended: jobs are tried again. */
  onTrouble(sentence: string): void;
  onProgress?(progress: Progress): void;
}

export type JobsInHand = Omit<Batch, 'jobs'> & { readonly jobs: readonly Job[] };

export interface WorkedOff {
  /** For each job undefined when it is settled, or the error that sends it on another trip. */
  readonly answers: readonly (Error | undefined)[];
  /** Why nothing more can be done after this batch. */
  readonly fatal: AppError | undefined;
  /** Whether it ended with the worker's death and no picture. */
  readonly died: boolean;
}

/** One batch, all the way: running → made → receipts → pictures on disk → one transaction. */
export async function workOff(parts: TripParts, hand: JobsInHand): Promise<WorkedOff> {
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

function tellTrouble(parts: TripParts, outcomes: readonly Outcome[]): void {
  const again = outcomes.filter((outcome) => outcome.state === 'queued' && fatalIn(outcome) === undefined);
  const [first] = again;
  if (first?.state !== 'queued') return;
  parts.onTrouble(`${again.length} of ${outcomes.length} jobs of a batch are tried again: ${first.error.message}`);
}

/** Settles those whose picture is on disk already: a batch was cut off between its pictures and its transaction. */
async function withoutFinished(parts: TripParts, jobs: readonly Job[]): Promise<readonly Job[]> {
  const found = await Promise.all(jobs.map((job) => parts.images.find(job.target, job.id)));
  for (const [at, job] of jobs.entries()) {
    const picture = found[at];
    if (picture !== undefined) await parts.store.settle(adoptionOf(job, picture, parts.clock.now()));
  }
  return jobs.filter((_, at) => found[at] === undefined);
}

async function makeAndSettle(parts: TripParts, hand: JobsInHand): Promise<readonly Outcome[]> {
  const jobs = await Promise.all(
    hand.jobs.map(async (job) => ({ ...job, temporary: await parts.images.prepare(job.target, job.id) })),
  );
  const batch: Batch = { ...hand, jobs };
  const { onProgress } = parts;
  const result = await parts.provider.make(batch, onProgress === undefined ? {} : { onProgress });
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
type Outcome =
  | { readonly id: string; readonly state: 'done'; readonly path: string }
  | {
      readonly id: string;
      readonly state: 'failed';
      readonly error: { readonly code: string; readonly message: string };
    }
  | { readonly id: string; readonly state: 'queued'; readonly error: AppError };

async function outcomeOf(
  parts: TripParts,
  job: Batch['jobs'][number],
  answer: Made | Failure | undefined,
  receipt: Receipt | undefined,
): Promise<Outcome> {
  if (answer === undefined || receipt === undefined) {
    return failed(job, { code: 'internal', message: `the provider gave no answer for ${job.id}`, retryable: false });
  }
  if (answer.kind === 'failure') {
    await parts.images.discard(job.temporary);
    return DISK_TROUBLE.has(answer.code)
      ? atTheDisk(job, new StorageError(answer.message, answer))
      : failed(job, answer);
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
    return atTheDisk(job, error);
  }
}

/** Codes by which a provider says that a picture could not be written. */
const DISK_TROUBLE: ReadonlySet<string> = new Set(['disk_full', 'not_writable']);

/** Not the job's fault: it waits for a disk that takes it. */
function atTheDisk(job: Job, error: StorageError): Outcome {
  return { id: job.id, state: 'queued', error };
}

function failed(job: Job, failure: Pick<Failure, 'code' | 'message' | 'retryable'>): Outcome {
  const { code, message, retryable } = failure;
  if (retryable && job.attempt + 1 < ATTEMPTS)
    return { id: job.id, state: 'queued', error: new AppError(message, { code, retryable }) };
  return { id: job.id, state: 'failed', error: { code, message } };
}

function metadataOf(parts: TripParts, job: Job, receipt: Receipt): ImageMetadata {
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
