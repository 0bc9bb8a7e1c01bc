import { AppError, HandedBack } from '../errors.ts';
import type { Check, Clock, Job, JobHandler, Queue, QueueWorker, WorkOptions } from '../ports.ts';
import { systemClock } from '../process/clock.ts';
import type { EpochMillis, Millis } from '../units.ts';
import { numberOf } from './levels.ts';

interface Entry {
  readonly job: Job;
  /** Its place within its level; kept when it is handed back. */
  readonly place: number;
  behind: boolean;
  active: boolean;
  /** Does not come before; null: at once. */
  until: EpochMillis | null;
  /** Ends the work when the job is taken out. */
  abandon(): void;
}

/** The queue without a server, for tests: gone with the process. */
export class MemoryQueue implements Queue {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<Promise<void>>();
  /** The last call of the handler for a job, which its next one waits for. */
  readonly #handling = new Map<string, Promise<void>>();
  #places = 0;
  #handler: JobHandler | undefined;
  #window = 0;
  #onHold = false;
  #cancelWake = () => {};

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  async add(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) {
      if (this.#entries.has(job.id)) continue;
      this.#places += 1;
      const fresh = { behind: false, active: false, until: null, abandon: () => {} };
      this.#entries.set(job.id, { job, place: this.#places, ...fresh });
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
    await this.promote();
    return { kept: listed.length - refused.length, removed: refused.length };
  }

  async promote(): Promise<void> {
    for (const entry of this.#entries.values()) entry.until = null;
    this.#fill();
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
    const hold = (held: boolean): void => {
      this.#onHold = held;
      this.#fill();
    };
    const stop = async (): Promise<void> => {
      stopped = true;
      this.#window = 0;
      while (this.#running.size > 0) await Promise.all(this.#running);
    };
    setWindow(window);
    return { setWindow, hold, stop };
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
    const now = this.#clock.now();
    const idle = [...this.#entries.values()].filter((entry) => !entry.active);
    const waiting = idle.filter(({ until }) => until === null || until <= now);
    if (waiting.length < idle.length) this.#fillLater();
    waiting.sort((one, other) => levelOf(one) - levelOf(other) || one.place - other.place);
    for (const entry of waiting) {
      if (this.#onHold || this.#running.size >= this.#window) return;
      const running = this.#run(entry).finally(() => {
        this.#running.delete(running);
        this.#fill();
      });
      this.#running.add(running);
    }
  }

  /** Looks again and again, because the time of day may be set meanwhile. */
  #fillLater(): void {
    this.#cancelWake();
    if (this.#window > 0) this.#cancelWake = this.#clock.after(LOOK_MS, () => this.#fill());
  }

  async #run(entry: Entry): Promise<void> {
    const { id } = entry.job;
    const abort = new AbortController();
    entry.active = true;
    entry.abandon = () =>
      abort.abort(new AppError(`the job ${id} was taken out of the queue`, { code: 'job_removed' }));
    const before = this.#handling.get(id);
    const handled = this.#handle(entry, abort.signal, before);
    this.#handling.set(id, handled);
    await handled;
    if (this.#handling.get(id) === handled) this.#handling.delete(id);
  }

  async #handle(entry: Entry, signal: AbortSignal, before: Promise<void> | undefined): Promise<void> {
    try {
      if (before !== undefined) await before;
      signal.throwIfAborted();
      await this.#handler?.(entry.job, { signal, behind: entry.behind });
      this.#forget(entry);
    } catch (error) {
      entry.abandon = () => {};
      if (!(error instanceof HandedBack)) return this.#forget(entry);
      entry.active = false;
      entry.behind ||= error.behind;
      entry.until = error.until;
    }
  }

  /** Unless the id was taken out meanwhile and stands for another entry now. */
  #forget(entry: Entry): void {
    if (this.#entries.get(entry.job.id) === entry) this.#entries.delete(entry.job.id);
  }
}

const LOOK_MS: Millis = 100;

function levelOf({ job, behind }: Entry): number {
  return numberOf({ priority: job.priority, behind });
}
