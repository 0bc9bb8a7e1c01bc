import { cutOff } from './batch/marks.ts';
import { correctionOf } from './cost/correction.ts';
import { entryId } from './cost/entries.ts';
import { StorageError, UnavailableError } from './errors.ts';
import { runIdOf } from './job/job-id.ts';
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
 * Final files that carry a job's id and have no entry are adopted from their own metadata; what was being made when the
 * last owner died is marked so; then runs that nobody waits for are taken out of the queue's sight. The store is what
 * resumes them.
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
    await waitAgain(parts, lost);
    if (run.served || parts.isAlive(run.launch)) continue;
    if ((await parts.store.interrupt(run.id, run.launch)).length > 0) interrupted.push(run);
  }
  return { interrupted, adopted };
}

/** Whose runs an owner works off: its own and those of attached clients, or all of them. */
export interface Scope {
  readonly serves: boolean;
  isAlive(launch: string): boolean;
}

type QueueParts = Scope & { readonly store: Store; readonly queue: Queue };

/** For the owner before it works: makes the queue say what the store says, jobs of its runs, each once; nothing else. */
export async function reconcileQueue(parts: QueueParts): Promise<void> {
  const ours = new Set((await runsToMake(parts)).map((run) => run.id));
  await parts.queue.reclaim((job) => ours.has(job.runId));
  await addMissing(parts);
}

/**
 * Adds what the store calls open and the queue lacks: what was submitted for whoever serves, and what a server had lost
 * that came back without its data, or was emptied, and would otherwise leave its runs waiting for ever. A job that was
 * settled meanwhile and is added all the same is dropped by whoever takes it, because the store has the last word.
 * @returns how many had been in the queue before and were lost
 */
export async function addMissing(parts: QueueParts): Promise<number> {
  const runs = await runsToMake(parts);
  if (runs.length === 0) return 0;
  const queued = new Set(await parts.queue.ids());
  const counts = countedByRun(queued);
  let lost = 0;
  for (const run of runs) {
    if (isWhole(run, counts.get(run.id) ?? 0)) continue;
    const jobs = await parts.store.payloads(run.id, ['submitting', 'queued', 'running']);
    const missing = jobs.filter((job) => !queued.has(job.id));
    await parts.queue.add(missing);
    // By their ids: what was submitted meanwhile is not in the queue yet.
    await parts.store.markQueued(
      run.id,
      jobs.map((job) => job.id),
    );
    lost += Math.max(0, missing.length - run.counts.submitting);
  }
  return lost;
}

/**
 * Without a look at each job, of which ten thousand may wait for hours. Where the queue has one that is settled in place
 * of one that it has lost, that is found once the settled one has been handed out and dropped.
 */
function isWhole({ counts }: RunRow, queued: number): boolean {
  return counts.submitting === 0 && queued >= counts.queued + counts.running;
}

function countedByRun(jobIds: Iterable<string>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const id of jobIds) {
    const runId = runIdOf(id);
    counts.set(runId, (counts.get(runId) ?? 0) + 1);
  }
  return counts;
}

async function runsToMake({ store, serves, isAlive }: QueueParts): Promise<readonly RunRow[]> {
  const open = await store.openRuns();
  return open.filter((run) => run.held === null && (serves || isAlive(run.launch)));
}

/**
 * Takes out what is left of a run that `launch` claimed: the store first, so that a worker which meets a job drops it.
 * @param jobIds as in `Store.interrupt`
 */
export async function interruptRun(
  parts: { readonly store: Store; readonly queue: Queue | null },
  run: Pick<RunRow, 'id' | 'launch'>,
  jobIds?: readonly string[],
): Promise<number> {
  const ids = await parts.store.interrupt(run.id, run.launch, jobIds);
  try {
    await parts.queue?.remove(ids);
  } catch (error) {
    // Without its server the queue hands nothing out; the next owner makes it say what the store says.
    if (!(error instanceof UnavailableError)) throw error;
  }
  return ids.length;
}

/** Jobs that a dead owner had begun wait again; nobody saw why it died. */
async function waitAgain(parts: RecoveryParts, rows: readonly JobRow[]): Promise<void> {
  if (rows.length === 0) return;
  const jobs = rows.map(({ id, marks }) => ({ id, ...cutOff(marks) }));
  await parts.store.settle({ batchId: 'recovered', at: parts.clock.now(), entries: [], jobs });
}

async function adopt(parts: RecoveryParts, row: JobRow): Promise<boolean> {
  const found = await parts.images.find(row.path, row.id).catch((error: unknown) => {
    // A disk that will not say is asked again before the picture is made; one job must not keep all others from starting.
    if (error instanceof StorageError) return undefined;
    throw error;
  });
  if (found === undefined) return false;
  await parts.store.settle(await adoptionOf(parts.store, row, found, parts.clock.now()));
  return true;
}

/**
 * Books a finished picture that has no entry by its own receipt: the one that a cut-off batch would have written. Where
 * the books of its card have closed over that batch already, what they called lost is put right with it.
 */
export async function adoptionOf(
  store: Pick<Store, 'bookedOf'>,
  job: { readonly id: string; readonly runId: string },
  found: { readonly path: string; readonly metadata: ImageMetadata },
  at: EpochMillis,
): Promise<Settlement> {
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
  const lost = (await store.bookedOf([batchId])).get(batchId)?.lost ?? null;
  const correction = lost === null ? null : correctionOf(lost, entry);
  return {
    batchId,
    at,
    entries: [entry],
    jobs: [{ id: job.id, state: 'done', path: found.path }],
    ...(correction !== null && { meter: { marks: [], stretches: [correction] } }),
  };
}
