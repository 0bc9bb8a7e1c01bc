import { CLEAN } from '../batch/marks.ts';
import { StorageError } from '../errors.ts';
import type { Job, JobRow, JobState, LineIdentity, Marks, NewJob, RunWrite, Settlement } from '../ports.ts';
import { maySettle } from './states.ts';

export interface KeptJob extends LineIdentity {
  readonly index: number;
  job: Job;
  state: JobState;
  path: string;
  error: JobRow['error'];
  batchId: string | null;
  marks: Marks;
  seq: number;
}

/** The jobs of {@link MemoryStore}; each gets a number of its own with every change. */
export class MemoryJobs {
  readonly #take: () => number;
  readonly #jobs = new Map<string, KeptJob>();

  /** @param take the number of the next change */
  constructor(take: () => number) {
    this.#take = take;
  }

  all(): readonly KeptJob[] {
    return [...this.#jobs.values()];
  }

  one(id: string): KeptJob | undefined {
    return this.#jobs.get(id);
  }

  /** In the order of their index. */
  of(runId: string): KeptJob[] {
    return this.all()
      .filter((kept) => kept.job.runId === runId)
      .sort((a, b) => a.index - b.index);
  }

  write({ add, requeue }: RunWrite): void {
    for (const { job, ...line } of add) this.#submit(job, line);
    for (const { id, job, remake } of requeue) {
      const kept = this.#jobs.get(id);
      if (kept === undefined || kept.state === 'running' || (kept.state === 'done' && !remake)) continue;
      this.#submit(job, kept, marksKept(kept));
    }
  }

  /** @throws StorageError where a job that is to be added is there, or one that is to be made again is not */
  mustFit({ run, add, requeue }: RunWrite): void {
    const indexes = new Set(this.of(run.id).map((kept) => kept.index));
    for (const { job, index } of add) {
      if (!this.#jobs.has(job.id) && !indexes.has(index)) indexes.add(index);
      else throw new StorageError(`job ${job.id} is there already; please report this`, { code: 'internal' });
    }
    const stranger = requeue.find(({ id }) => this.#jobs.get(id)?.job.runId !== run.id);
    if (stranger === undefined) return;
    const message = `run ${run.id} has no job ${stranger.id} to be made again; please report this`;
    throw new StorageError(message, { code: 'internal' });
  }

  start(kept: KeptJob, batchId: string): void {
    if (kept.state === 'running' && kept.batchId === batchId) return;
    kept.batchId = batchId;
    this.#become(kept, 'running');
  }

  settle(job: Settlement['jobs'][number]): void {
    const kept = this.#jobs.get(job.id);
    if (kept === undefined) return;
    if (job.state === 'queued' && kept.state !== 'done') kept.marks = job.marks;
    if (!maySettle(kept.state, job.state)) return;
    if (job.state === 'done') kept.path = job.path;
    kept.error = job.state === 'failed' ? job.error : null;
    this.#become(kept, job.state);
  }

  /** Those of a run that are in one of the states; returns the ids. */
  move(runId: string, from: readonly JobState[], to: JobState, jobIds?: readonly string[]): readonly string[] {
    const among = jobIds === undefined ? null : new Set(jobIds);
    const moved = this.of(runId).filter((kept) => from.includes(kept.state) && among?.has(kept.job.id) !== false);
    for (const kept of moved) this.#become(kept, to);
    return moved.map((kept) => kept.job.id);
  }

  moveAmong(jobIds: readonly string[], from: readonly JobState[], to: JobState): readonly KeptJob[] {
    const found = [...new Set(jobIds)].sort().map((id) => this.#jobs.get(id));
    const moved = found.filter((kept) => kept !== undefined).filter((kept) => from.includes(kept.state));
    for (const kept of moved) this.#become(kept, to);
    return moved;
  }

  #become(kept: KeptJob, state: JobState): void {
    kept.state = state;
    kept.seq = this.#take();
  }

  #submit(job: Job, { index, lineKey, occurrence, k }: Omit<NewJob, 'job'>, marks = CLEAN): void {
    const line = { index, lineKey, occurrence, k };
    const fresh = { state: 'submitting', path: job.target, error: null, batchId: null, marks } as const;
    this.#jobs.set(job.id, { ...line, ...fresh, job, seq: this.#take() });
  }
}

/** What befell a job that was interrupted is kept. */
function marksKept({ state, marks }: KeptJob): Marks {
  return state === 'failed' || state === 'cancelled' || state === 'done' ? CLEAN : marks;
}
