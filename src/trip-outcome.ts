import { judge, type Marks } from './batch/marks.ts';
import { AppError, HandedBack, StorageError } from './errors.ts';
import type { Disk } from './gate.ts';
import { parametersText } from './job/parameters.ts';
import { requestKey } from './job/request.ts';
import type { Batch, Failure, ImageMetadata, ImageStore, Job, Made, Receipt } from './ports.ts';

/** What became of one job: settled, on its way back to the queue with what befell it, or not wanted any more. */
export type Outcome =
  | { readonly id: string; readonly state: 'done'; readonly path: string }
  | Unmade<'failed', { readonly error: { readonly code: string; readonly message: string } }>
  | Unmade<'queued', { readonly marks: Marks }>
  | Unmade<'withdrawn'>;

/** `answer` is what it is told by; `wasted` is what its share of the batch is booked as. */
type Unmade<State, Rest = unknown> = Rest & {
  readonly id: string;
  readonly state: State;
  readonly answer: Pick<Failure, 'code' | 'message'>;
  readonly wasted: 'failed' | 'cancelled';
};

/** What a picture needs on its way to the disk. */
export interface OutcomeParts {
  readonly images: ImageStore;
  readonly disk: Disk;
  /** Program and version, as pictures name it. */
  readonly software: string;
  /** What pictures say besides job id and receipt, which they always carry. */
  readonly texts: { readonly prompt: boolean; readonly cost: boolean };
}

export interface Riding {
  readonly job: Batch['jobs'][number];
  readonly marks: Marks;
  /** Aborted when nobody wants its picture now. */
  readonly unwanted: AbortSignal;
  readonly answer: Made | Failure | undefined;
  readonly receipt: Receipt | undefined;
}

/** Puts a picture that was made on the disk, or judges what came instead of it. */
export async function outcomeOf(parts: OutcomeParts, riding: Riding): Promise<Outcome> {
  const { job, marks, unwanted, answer, receipt } = riding;
  const fail = async (failure: Pick<Failure, 'code' | 'message' | 'retryable'>): Promise<Outcome> => {
    // What a disk will not let go of now is removed when the job's next picture is prepared.
    await parts.images.discard(job.temporary).catch((error: unknown) => {
      if (!(error instanceof StorageError)) throw error;
    });
    return unmade(job.id, marks, failure);
  };
  if (answer === undefined || receipt === undefined)
    return fail({ code: 'internal', message: `the provider gave no answer for ${job.id}`, retryable: false });
  if (answer.kind === 'failure') return fail(answer);
  const { target, format, sidecar } = job;
  const made = { temporary: answer.temporary, target, format, sidecar };
  try {
    const finish = () => parts.images.finish(made, metadataOf(parts, job, receipt));
    return { id: job.id, state: 'done', path: await parts.disk.untilTaken(finish, unwanted) };
  } catch (error) {
    if (error instanceof HandedBack) return fail(failureFor(unwanted.reason));
    if (!(error instanceof StorageError)) throw error;
    return fail({ code: error.code, message: error.message, retryable: true });
  }
}

/** Somebody did not want to wait for the disk. */
function failureFor(reason: unknown): Pick<Failure, 'code' | 'message' | 'retryable'> {
  const { code, message } = reason instanceof AppError ? reason : givingUp('stopped', 'kilnwatt was stopped');
  return { code, message, retryable: true };
}

function unmade(id: string, marks: Marks, failure: Pick<Failure, 'code' | 'message' | 'retryable'>): Outcome {
  const wasted = GIVEN_UP.has(failure.code) ? 'cancelled' : 'failed';
  return { id, answer: failure, wasted, ...judge(marks, failure) };
}

/** Codes of jobs that somebody did not want to be made now. */
const GIVEN_UP: ReadonlySet<string> = new Set(['cancelled', 'paused', 'stopped']);

/** The reason to give up a job that is being made. */
export function givingUp(code: 'cancelled' | 'paused' | 'stopped' | 'timed_out', sentence: string): AppError {
  return new AppError(sentence, { code });
}

function metadataOf(parts: OutcomeParts, job: Job, receipt: Receipt): ImageMetadata {
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
