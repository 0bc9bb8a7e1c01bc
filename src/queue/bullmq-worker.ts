import { type Job as BullJob, UnrecoverableError, WaitingError } from 'bullmq';
import { AppError, HandedBack, sentenceOf } from '../errors.ts';
import type { Clock, JobHandler, QueueWorker, WorkOptions } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import type { Ask } from './bullmq-commands.ts';
import { Fetcher } from './bullmq-fetcher.ts';
import { isOvertaken } from './bullmq-locks.ts';
import { Watch, type Watched, type WatchLimits } from './bullmq-watch.ts';
import { Deliveries } from './deliveries.ts';
import { isBehind, numberOf } from './levels.ts';
import { isReply, type RedisServer, saidBy } from './redis-server.ts';
import { travellingJob } from './travelling-job.ts';

export interface BullmqWorkerOptions {
  readonly server: RedisServer;
  readonly name: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly limits: WatchLimits & { readonly answer: Millis };
  readonly work: WorkOptions;
  readonly handler: JobHandler;
  /** One command over the connection of the queue; rejects while the server is away. */
  readonly ask: Ask;
}

/** Between two tries to tell of a job that cannot be read. */
const TELL_AGAIN_MS = 1_000;

/** Takes jobs as many as its window holds and passes them to the handler, over one Fetcher that a {@link Watch} guards. */
export class BullmqWorker implements QueueWorker {
  readonly #options: BullmqWorkerOptions;
  readonly #watch: Watch;
  #fetcher: Fetcher;
  /** Those that were replaced and still finish their last jobs. */
  readonly #retired = new Set<Fetcher>();
  /** Jobs that have arrived and are not finished, each with the token of its lock. */
  readonly #held = new Map<string, string>();
  readonly deliveries = new Deliveries();
  readonly #stopSignal = new AbortController();
  #window: number;
  #onHold = false;
  /** The server refused a command; until it answers the watch again, it is left alone. */
  #refused = false;
  readonly #troubles = new Set<string>();
  /** Nothing has gone wrong since the last look. */
  #untroubled = true;
  #stopping: Promise<void> | undefined;

  constructor(options: BullmqWorkerOptions) {
    const { clock, log, ask, limits, work } = options;
    this.#options = options;
    this.#window = atLeastOne(work.window);
    this.#fetcher = this.#open();
    const onAway = (away: boolean) => work.onAway?.(away);
    this.#watch = new Watch({ clock, log, ask, limits, onAway, report: this.#report, watched: this.#watched() });
  }

  setWindow(window: number): void {
    const before = this.#window;
    this.#window = atLeastOne(window);
    this.#fetcher.window = this.#window;
    if (this.#window <= before) return;
    // BullMQ looks at a raised concurrency only when a job ends, or when it is resumed.
    this.#fetcher.fetch(false);
    this.#steer();
  }

  hold(held: boolean): void {
    this.#onHold = held;
    this.#steer();
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    // Before anything is awaited: whoever releases its jobs next must not get new ones for them.
    this.#stopSignal.abort(new HandedBack());
    this.#steer();
    await this.deliveries.settled();
    this.#watch.stop();
    await Promise.all([this.#fetcher, ...this.#retired].map((fetcher) => this.#close(fetcher)));
  }

  async #close(fetcher: Fetcher): Promise<void> {
    if (await fetcher.close()) return;
    this.#options.log(`queue: ${this.#options.server.name} did not answer; its connections are given up`);
  }

  get #wantsMore(): boolean {
    return !this.#stopSignal.signal.aborted && !this.#onHold;
  }

  #steer(): void {
    this.#fetcher.fetch(this.#wantsMore && !this.#refused);
  }

  #open(): Fetcher {
    const { server, name, clock, limits } = this.#options;
    return new Fetcher({
      ...{ server, name, clock, lockDuration: limits.lock, answerLimit: limits.answer, window: this.#window },
      process: (job, token) => this.#process(job, token),
      onArrived: (jobId, token) => {
        this.#watch.fed();
        this.#held.set(jobId, token);
      },
      onError: (error) => {
        this.#report(error);
        // BullMQ would ask again at once, and for ever.
        if (!isReply(error)) return;
        this.#refused = true;
        this.#steer();
      },
    });
  }

  #watched(): Watched {
    return {
      held: () => this.#held,
      isOurs: (token: string) => [this.#fetcher, ...this.#retired].some((fetcher) => fetcher.owns(token)),
      roundTrip: async () => {
        await Promise.all([this.#fetcher, ...this.#retired].map((fetcher) => fetcher.roundTrip()));
        if (this.#untroubled) this.#troubles.clear();
        this.#untroubled = true;
      },
      isHungry: () => this.#wantsMore && this.#held.size < this.#window,
      onLost: (jobs: ReadonlyMap<string, string>) => {
        for (const [id, token] of jobs) {
          this.deliveries.lost(id, token);
          if (this.#held.get(id) === token) this.#held.delete(id);
        }
      },
      onAnswer: () => {
        this.#refused = false;
        this.#steer();
      },
      replace: () => this.#replace(),
    };
  }

  /** BullMQ has been seen to fetch nothing after a reconnect, for ever. */
  #replace(): void {
    this.#options.log('queue: jobs wait and none was fetched for a while; the worker is replaced');
    const old = this.#fetcher;
    this.#fetcher = this.#open();
    this.#retired.add(old);
    this.#close(old)
      .catch(this.#report)
      .finally(() => this.#retired.delete(old));
  }

  async #process(job: BullJob<unknown, void>, token: string): Promise<void> {
    const id = job.id ?? '';
    const abort = new AbortController();
    try {
      await this.deliveries.deliver({ id, token, abort }, () => this.#handle(job, abort.signal));
    } catch (error) {
      // Where it is aborted, the lock is another's, or the job is out of the queue: nothing may be written about it.
      throw abort.signal.aborted ? new WaitingError() : await this.#verdict(job, token, error);
    } finally {
      if (this.#held.get(id) === token) this.#held.delete(id);
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
        this.#report(failure);
        await pause(this.#options.clock, TELL_AGAIN_MS, this.#stopSignal.signal);
      }
    }
  }

  /** What BullMQ has to be told, so that it does with the job what the handler meant. */
  async #verdict(job: BullJob<unknown, void>, token: string, error: unknown): Promise<Error> {
    if (error instanceof HandedBack) {
      await this.#giveBack(job, token, error.behind);
      return new WaitingError();
    }
    this.#options.log(`queue: ${job.id} was taken out: ${sentenceOf(error)}`);
    return new UnrecoverableError(sentenceOf(error));
  }

  async #giveBack(job: BullJob<unknown, void>, token: string, behind: boolean): Promise<void> {
    try {
      const { success, data } = travellingJob.safeParse(job.data);
      // A job that dies in between is back behind the clean ones too: it returns to where its number says.
      if (behind && success) await job.changePriority({ priority: numberOf({ priority: data.priority, behind }) });
      await job.moveToWait(token);
    } catch (error) {
      // Removed, or its lock expired: it is not ours to give back. If the server refused, the watch finds it.
      this.#report(error);
    }
  }

  /** A trouble is told once and not at each try, until all is well again. */
  readonly #report = (error: unknown): void => {
    const trouble = saidBy(error);
    // What became of such a job is told by whoever finds it.
    if (isOvertaken(error)) return;
    this.#untroubled = false;
    if (this.#troubles.has(trouble)) return;
    this.#troubles.add(trouble);
    this.#options.log(`queue: ${trouble}`);
  };
}

function atLeastOne(window: number): number {
  return Math.max(1, Math.floor(window));
}
