import { AppError } from '../errors.ts';

/** One handing over of a job to the handler. */
export interface Delivered {
  readonly id: string;
  /** Of the job's lock. */
  readonly token: string;
  readonly abort: AbortController;
}

/** The jobs that the handler has, or is about to get. */
export class Deliveries {
  readonly #current = new Set<Delivered>();
  /** The last turn of each job. */
  readonly #turns = new Map<string, Promise<void>>();
  /** Jobs that are being taken out of the queue. */
  readonly #leaving = new Set<string>();

  /** A job that comes again while it is worked on waits for its turn: nothing is worked twice at the same time here. */
  async deliver(delivered: Delivered, handle: () => Promise<void>): Promise<void> {
    const { id } = delivered;
    const before = this.#turns.get(id);
    this.#current.add(delivered);
    const turn = before === undefined ? handle() : before.then(handle);
    const over = turn.catch(() => {});
    this.#turns.set(id, over);
    try {
      await turn;
    } finally {
      this.#current.delete(delivered);
      if (this.#turns.get(id) === over) this.#turns.delete(id);
    }
  }

  /** Resolves when there is none any more. */
  async settled(): Promise<void> {
    while (this.#turns.size > 0) await Promise.all(this.#turns.values());
  }

  /** The lock is another's. */
  lost(jobId: string, token: string): void {
    this.#withdraw((delivered) => delivered.id === jobId && delivered.token === token);
  }

  /** From now on, whoever loses one of these jobs is told that it was taken out. */
  leaving(jobIds: readonly string[]): void {
    for (const id of jobIds) this.#leaving.add(id);
  }

  /** The jobs are out of the queue, or that has failed. */
  left(jobIds: readonly string[], gone: boolean): void {
    for (const id of jobIds) {
      if (gone) this.#withdraw((delivered) => delivered.id === id);
      this.#leaving.delete(id);
    }
  }

  #withdraw(which: (delivered: Delivered) => boolean): void {
    for (const delivered of this.#current) {
      if (which(delivered)) delivered.abort.abort(this.#reasonFor(delivered.id));
    }
  }

  #reasonFor(id: string): AppError {
    return this.#leaving.has(id)
      ? new AppError(`the job ${id} was taken out of the queue`, { code: 'job_removed' })
      : new AppError('the queue gave the job to another worker', { code: 'lock_lost', retryable: true });
  }
}
