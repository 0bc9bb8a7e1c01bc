import { Batcher } from './batch/batcher.ts';
import { batchKey } from './batch/key.ts';
import { AppError, HandedBack, sentenceOf, UnavailableError } from './errors.ts';
import type { Job, Queue, Store } from './ports.ts';
import type { PlannedRun } from './submission.ts';
import { type TripParts, workOff } from './trip.ts';

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

export interface WorkParts extends TripParts {
  readonly queue: Queue;
  readonly launch: string;
  /** Work cannot go on (full disk, no Python); the jobs in hand went back to the queue. The first one told is the reason. */
  onFatal(error: AppError): void;
}

export interface Working {
  /** Whether a batch is under way. */
  readonly busy: boolean;
  /** Hands back what has not begun, finishes the running batches, and takes nothing more. May be called twice. */
  stop(): Promise<void>;
}

/** So many batches in a row that ended with the worker's death say that it is not the pictures. */
const DEATHS_IN_A_ROW = 10;

/** Works the queue off, batch by batch on every device of the provider, until stopped. */
export function work(parts: WorkParts): Working {
  let batches = 0;
  let underWay = 0;
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
      underWay += 1;
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
      } finally {
        underWay -= 1;
      }
    },
  });
  /** Of each job in hand, the last of its trips: resolves when that one has ended, however it did. */
  const trips = new Map<string, Promise<void>>();
  // A queue whose lock ran out while this host slept hands a job out again although it is in hand. The second trip
  // waits for the first one, and then finds in the store whether anything is left to do.
  const handle = async (job: Job, signal: AbortSignal): Promise<void> => {
    const before = trips.get(job.id);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    trips.set(job.id, ended);
    try {
      await before;
      if (stopping !== null) throw new HandedBack();
      await batcher.submit(job, signal);
    } finally {
      end();
      if (trips.get(job.id) === ended) trips.delete(job.id);
    }
  };
  const onUnreadable = (id: string, { code, message }: AppError): Promise<void> => {
    const job = { id, state: 'failed', error: { code, message } } as const;
    return parts.store.settle({ batchId: 'unreadable', at: parts.clock.now(), entries: [], jobs: [job] });
  };
  const worker = parts.queue.work(handle, { window: batcher.window, onUnreadable });
  const stopWork = async (): Promise<void> => {
    const stopped = worker.stop();
    batcher.release(new HandedBack());
    await stopped;
  };
  return {
    stop,
    get busy() {
      return underWay > 0;
    },
  };
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
