import { AppError, HandedBack } from '../errors.ts';
import type { Check, Clock, Job, JobHandler, Queue, QueueWorker, WorkOptions } from '../ports.ts';
import type { Millis } from '../units.ts';

interface Entry {
  readonly job: Job;
  /** Its place in the line; kept when it is handed back, new when it is tried again. */
  place: number;
  state: 'waiting' | 'active' | 'delayed';
  attempts: number;
  /** Ends the wait or the work when the job is taken out. */
  abandon(): void;
}

const ATTEMPTS = 3;
const BACKOFF_MS: Millis = 1_000;

/** The queue without a server, for tests: gone with the process. */
export class MemoryQueue implements Queue {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<Promise<void>>();
  #places = 0;
  #handler: JobHandler | undefined;
  #window = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async add(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) {
      if (this.#entries.has(job.id)) continue;
      this.#places += 1;
      this.#entries.set(job.id, { job, place: this.#places, state: 'waiting', attempts: 0, abandon: () => {} });
    }
    this.#fill();
  }

  async remove(jobIds: readonly string[]): Promise<void> {
    for (const id of jobIds) {
      const entry = this.#entries.get(id);
      this.#entries.delete(id);
      entry?.abandon();
    }
  }

  async reclaim(
    keep: (job: { readonly id: string; readonly runId: string }) => boolean,
  ): Promise<{ kept: number; removed: number }> {
    const listed = [...this.#entries.values()];
    const refused = listed.filter(({ job }) => !keep(job));
    await this.remove(refused.map(({ job }) => job.id));
    return { kept: listed.length - refused.length, removed: refused.length };
  }

  async ids(): Promise<readonly string[]> {
    return [...this.#entries.keys()];
  }

  work(handler: JobHandler, { window }: WorkOptions): QueueWorker {
    if (this.#handler !== undefined) {
      throw new AppError('this queue object has a worker already', { code: 'queue_in_use' });
    }
    this.#handler = handler;
    let stopped = false;
    const setWindow = (wanted: number): void => {
      this.#window = stopped ? 0 : Math.max(1, Math.floor(wanted));
      this.#fill();
    };
    const stop = async (): Promise<void> => {
      stopped = true;
      this.#window = 0;
      while (this.#running.size > 0) await Promise.all(this.#running);
    };
    setWindow(window);
    return { setWindow, stop };
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'queue', status: 'ok', detail: 'in memory' }];
  }

  async close(): Promise<void> {
    this.#window = 0;
    while (this.#running.size > 0) await Promise.all(this.#running);
    for (const entry of this.#entries.values()) entry.abandon();
  }

  /** Starts handlers until the window is full, the first in line first. */
  #fill(): void {
    const waiting = [...this.#entries.values()].filter((entry) => entry.state === 'waiting');
    waiting.sort((one, other) => one.place - other.place);
    for (const entry of waiting) {
      if (this.#running.size >= this.#window) return;
      const running = this.#run(entry).finally(() => {
        this.#running.delete(running);
        this.#fill();
      });
      this.#running.add(running);
    }
  }

  async #run(entry: Entry): Promise<void> {
    const { job } = entry;
    const abort = new AbortController();
    entry.state = 'active';
    entry.abandon = () =>
      abort.abort(new AppError(`the job ${job.id} was taken out of the queue`, { code: 'job_removed' }));
    try {
      await this.#handler?.({ ...job, attempt: job.attempt + entry.attempts }, abort.signal);
      this.#forget(entry);
    } catch (error) {
      entry.abandon = () => {};
      if (error instanceof HandedBack) entry.state = 'waiting';
      else if (error instanceof AppError && error.retryable) this.#tryLater(entry);
      else this.#forget(entry);
    }
  }

  #tryLater(entry: Entry): void {
    entry.attempts += 1;
    if (entry.attempts >= ATTEMPTS || !this.#isCurrent(entry)) {
      this.#forget(entry);
      return;
    }
    entry.state = 'delayed';
    entry.abandon = this.#clock.after(BACKOFF_MS * 2 ** (entry.attempts - 1), () => {
      this.#places += 1;
      entry.place = this.#places;
      entry.state = 'waiting';
      this.#fill();
    });
  }

  /** Unless the id was taken out meanwhile and stands for another entry now. */
  #forget(entry: Entry): void {
    if (this.#isCurrent(entry)) this.#entries.delete(entry.job.id);
  }

  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.job.id) === entry;
  }
}
