import { type Job as BullJob, DelayedError, UnrecoverableError, WaitingError } from 'bullmq';
import { AppError, HandedBack, sentenceOf } from '../errors.ts';
import type { JobHandler, QueueWorker, WorkOptions } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { Intake, type IntakeOptions } from './bullmq-intake.ts';
import { Deliveries } from './deliveries.ts';
import type { Lease } from './lease.ts';
import { isBehind, numberOf } from './levels.ts';
import { travellingJob } from './travelling-job.ts';

export interface BullmqWorkerOptions
  extends Pick<IntakeOptions, 'server' | 'name' | 'clock' | 'log' | 'limits' | 'ask' | 'silence'> {
  readonly work: WorkOptions;
  readonly handler: JobHandler;
  /** Null where nobody else can work the queue. */
  readonly lease: Lease | null;
}

/** Between two tries to tell of a job that cannot be read. */
const TELL_AGAIN_MS: Millis = 1_000;

/** Takes jobs as many as its window holds and passes them to the handler. */
export class BullmqWorker implements QueueWorker {
  readonly #options: BullmqWorkerOptions;
  readonly #intake: Intake;
  readonly deliveries = new Deliveries();
  readonly #stopSignal = new AbortController();
  #onHold = false;
  #stopping: Promise<void> | undefined;

  constructor(options: BullmqWorkerOptions) {
    this.#options = options;
    const { work, handler: _handler, lease, ...rest } = options;
    this.#intake = new Intake({
      ...rest,
      what: 'jobs',
      window: atLeastOne(work.window),
      wantsMore: () => this.#wantsMore,
      process: (job, token) => this.#process(job, token),
      onLost: (jobId, token) => this.deliveries.lost(jobId, token),
      onAway: (away) => work.onAway?.(away),
      onLook: async () => lease?.renew(),
    });
  }

  setWindow(window: number): void {
    this.#intake.window = atLeastOne(window);
  }

  hold(held: boolean): void {
    this.#onHold = held;
    this.#intake.steer();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    // Before anything is awaited: whoever releases its jobs next must not get new ones for them.
    this.#stopSignal.abort(new HandedBack());
    this.#intake.steer();
    await this.deliveries.settled();
    await this.#intake.close();
  }

  get #wantsMore(): boolean {
    return !this.#stopSignal.signal.aborted && !this.#onHold && this.#options.lease?.isLost !== true;
  }

  async #process(job: BullJob<unknown, void>, token: string): Promise<void> {
    const abort = new AbortController();
    try {
      await this.deliveries.deliver({ id: job.id ?? '', token, abort }, () => this.#handle(job, abort.signal));
    } catch (error) {
      // Where it is aborted, the lock is another's, or the job is out of the queue: nothing may be written about it.
      throw abort.signal.aborted ? new WaitingError() : await this.#verdict(job, token, error);
    }
  }

  async #handle(job: BullJob<unknown, void>, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // One that was on its way when it was said that none is wanted.
    if (!this.#wantsMore) throw new HandedBack();
    const read = travellingJob.safeParse(job.data);
    if (read.success) return this.#options.handler(read.data, { signal, behind: isBehind(job.priority) });
    const [issue] = read.error.issues;
    const error = new AppError(`it was written by another version (${issue?.path.join('.')}: ${issue?.message})`, {
      code: 'job_unreadable',
    });
    if (job.id !== undefined) await this.#tellUnreadable(job.id, error);
    throw error;
  }

  /** Until it is heard: the queue drops the job after that. */
  async #tellUnreadable(jobId: string, error: AppError): Promise<void> {
    for (;;) {
      try {
        return await this.#options.work.onUnreadable?.(jobId, error);
      } catch (failure) {
        this.#intake.report(failure);
        await pause(this.#options.clock, TELL_AGAIN_MS, this.#stopSignal.signal);
      }
    }
  }

  /** What BullMQ has to be told, so that it does with the job what the handler meant. */
  async #verdict(job: BullJob<unknown, void>, token: string, error: unknown): Promise<Error> {
    if (error instanceof HandedBack) {
      await this.#giveBack(job, token, error);
      return error.until === null ? new WaitingError() : new DelayedError();
    }
    // Whoever cancelled it knows.
    if (!(error instanceof AppError && error.code === 'cancelled'))
      this.#options.log(`queue: ${job.id} was taken out: ${sentenceOf(error)}`);
    return new UnrecoverableError(sentenceOf(error));
  }

  async #giveBack(job: BullJob<unknown, void>, token: string, { behind, until }: HandedBack): Promise<void> {
    try {
      const { success, data } = travellingJob.safeParse(job.data);
      // A job that dies in between is back behind the clean ones too: it returns to where its number says.
      if (behind && success) await job.changePriority({ priority: numberOf({ priority: data.priority, behind }) });
      if (until === null) await job.moveToWait(token);
      else await job.moveToDelayed(until, token);
    } catch (error) {
      // Removed, or its lock expired: it is not ours to give back. If the server refused, the watch finds it.
      this.#intake.report(error);
    }
  }
}

function atLeastOne(window: number): number {
  return Math.max(1, Math.floor(window));
}
