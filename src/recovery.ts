import { entryId } from './cost/entries.ts';
import { UnavailableError } from './errors.ts';
import type { Clock, Entry, ImageMetadata, ImageStore, JobRow, Queue, RunRow, Settlement, Store } from './ports.ts';
import type { EpochMillis } from './units.ts';

export interface RecoveryParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly images: ImageStore;
  isAlive(launch: string): boolean;
}

export interface Recovered {
  /** Runs whose process had died, now `interrupted` and resumable. */
  readonly interrupted: readonly RunRow[];
  /** Pictures that were finished on disk but not yet in the ledger. */
  readonly adopted: number;
}

/**
 * For the one owner at its start, before it works: nobody else makes pictures in this data folder now.
 * Final files that carry a job's id and have no entry are adopted from their own metadata; then runs
 * without a living process are taken out of the queue's sight. The store is what resumes them.
 */
export async function recover(parts: RecoveryParts): Promise<Recovered> {
  let adopted = 0;
  const interrupted: RunRow[] = [];
  for (const run of await parts.store.openRuns()) {
    const running = (await parts.store.jobsOf(run.id)).filter((row) => row.state === 'running');
    const lost: JobRow[] = [];
    for (const row of running) {
      if (await adopt(parts, row)) adopted += 1;
      else lost.push(row);
    }
    if (parts.isAlive(run.launch)) {
      await waitAgain(parts, lost);
      continue;
    }
    if ((await parts.store.interrupt(run.id, run.launch)).length > 0) interrupted.push(run);
  }
  return { interrupted, adopted };
}

type QueueParts = Pick<RecoveryParts, 'store' | 'isAlive'> & { readonly queue: Queue };

/** For the owner before it works: makes the queue say what the store says, jobs of living runs, each once; nothing else. */
export async function reconcileQueue(parts: QueueParts): Promise<void> {
  const living = new Set((await livingRuns(parts)).map((run) => run.id));
  await parts.queue.reclaim((job) => living.has(job.runId));
  await addMissing(parts);
}

/**
 * Adds what the store calls open and the queue lacks: a server that came back without its data, or was emptied, would
 * otherwise leave its runs waiting for ever. A job that was settled meanwhile and is added all the same is dropped by
 * whoever takes it, because the store has the last word.
 * @returns how many there were
 */
export async function addMissing(parts: QueueParts): Promise<number> {
  const runs = await livingRuns(parts);
  if (runs.length === 0) return 0;
  const queued = new Set(await parts.queue.ids());
  let added = 0;
  for (const run of runs) {
    const jobs = await parts.store.payloads(run.id, ['submitting', 'queued', 'running']);
    const missing = jobs.filter((job) => !queued.has(job.id));
    await parts.queue.add(missing);
    await parts.store.markQueued(run.id);
    added += missing.length;
  }
  return added;
}

async function livingRuns({ store, isAlive }: QueueParts): Promise<readonly RunRow[]> {
  return (await store.openRuns()).filter((run) => isAlive(run.launch));
}

/** Takes out what is left of a run that `launch` claimed: the store first, so that a worker which meets a job drops it. */
export async function interruptRun(
  parts: { readonly store: Store; readonly queue: Queue | null },
  run: Pick<RunRow, 'id' | 'launch'>,
): Promise<number> {
  const ids = await parts.store.interrupt(run.id, run.launch);
  try {
    await parts.queue?.remove(ids);
  } catch (error) {
    // Without its server the queue hands nothing out; the next owner makes it say what the store says.
    if (!(error instanceof UnavailableError)) throw error;
  }
  return ids.length;
}

/** A living run's jobs that a dead owner had begun wait again. */
async function waitAgain(parts: RecoveryParts, rows: readonly JobRow[]): Promise<void> {
  if (rows.length === 0) return;
  const jobs = rows.map((row) => ({ id: row.id, state: 'queued' as const }));
  await parts.store.settle({ batchId: 'recovered', at: parts.clock.now(), entries: [], jobs });
}

async function adopt(parts: RecoveryParts, row: JobRow): Promise<boolean> {
  const found = await parts.images.find(row.path, row.id);
  if (found === undefined) return false;
  await parts.store.settle(adoptionOf(row, found, parts.clock.now()));
  return true;
}

/** Books a finished picture that has no entry by its own receipt: the one that a cut-off batch would have written. */
export function adoptionOf(
  job: { readonly id: string; readonly runId: string },
  found: { readonly path: string; readonly metadata: ImageMetadata },
  at: EpochMillis,
): Settlement {
  const { receipt } = found.metadata.kilnwatt;
  const batchId = receipt.batch.id;
  const entry: Entry = {
    id: entryId(batchId, job.id, 'active'),
    at,
    kind: 'active',
    cause: null,
    runId: job.runId,
    jobId: job.id,
    batchId,
    receipt,
    tags: {},
  };
  return { batchId, at, entries: [entry], jobs: [{ id: job.id, state: 'done', path: found.path }] };
}
