import type { Job as BullJob } from 'bullmq';
import type { Millis } from '../units.ts';
import { Fetcher } from './bullmq-fetcher.ts';
import { isOvertaken } from './bullmq-locks.ts';
import { Watch, type Watched, type WatchLimits, type WatchOptions } from './bullmq-watch.ts';
import { isReply, type RedisServer, saidBy } from './redis-server.ts';

export interface IntakeOptions extends Omit<WatchOptions, 'report' | 'watched'> {
  readonly server: RedisServer;
  readonly name: string;
  readonly limits: WatchLimits & { readonly answer: Millis };
  /** How many are in hand at most, at first. */
  readonly window: number;
  /** What is fetched, as messages name it: `jobs`. */
  readonly what: string;
  /** Whether more is to be fetched; asked again by {@link Intake.steer}. */
  wantsMore(): boolean;
  /** One that has arrived. It stays in hand, its lock kept, until this settles or the lock is lost. */
  process(job: BullJob<unknown, void>, token: string): Promise<void>;
  /** It is another worker's now, or gone. */
  onLost?(jobId: string, token: string): void;
}

/** What comes from a queue: one Fetcher, which is replaced where it fails, under a {@link Watch}. */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #watch: Watch;
  #fetcher: Fetcher;
  #window: number;
  /** Those that were replaced and still finish their last jobs. */
  readonly #retired = new Set<Fetcher>();
  /** Jobs that have arrived and are not finished, each with the token of its lock. */
  readonly #held = new Map<string, string>();
  /** The server refused a command; until it answers the watch again, it is left alone. */
  #refused = false;
  readonly #troubles = new Set<string>();
  /** Nothing has gone wrong since the last look. */
  #untroubled = true;

  constructor(options: IntakeOptions) {
    this.#options = options;
    this.#window = options.window;
    this.#fetcher = this.#open();
    this.#watch = new Watch({ ...options, report: this.report, watched: this.#watched() });
  }

  set window(window: number) {
    const before = this.#window;
    this.#window = window;
    this.#fetcher.window = window;
    if (window <= before) return;
    // BullMQ looks at a raised concurrency only when a job ends, or when it is resumed.
    this.#fetcher.fetch(false);
    this.steer();
  }

  /** To be called whenever `wantsMore` has changed; acts before it returns. */
  steer(): void {
    this.#fetcher.fetch(this.#options.wantsMore() && !this.#refused);
  }

  /** Ends once nothing is wanted and all that was in hand has been processed. */
  async close(): Promise<void> {
    this.#watch.stop();
    await Promise.all([this.#fetcher, ...this.#retired].map((fetcher) => this.#close(fetcher)));
  }

  /** A trouble is told once and not at each try, until all is well again. */
  readonly report = (error: unknown): void => {
    const trouble = saidBy(error);
    // What became of such a job is told by whoever finds it.
    if (isOvertaken(error)) return;
    this.#untroubled = false;
    if (this.#troubles.has(trouble)) return;
    this.#troubles.add(trouble);
    this.#options.log(`queue: ${trouble}`);
  };

  async #close(fetcher: Fetcher): Promise<void> {
    if (await fetcher.close()) return;
    this.#options.log(`queue: ${this.#options.server.name} did not answer; its connections are given up`);
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
        this.report(error);
        // BullMQ would ask again at once, and for ever.
        if (!isReply(error)) return;
        this.#refused = true;
        this.steer();
      },
    });
  }

  async #process(job: BullJob<unknown, void>, token: string): Promise<void> {
    try {
      await this.#options.process(job, token);
    } finally {
      this.#forget(job.id ?? '', token);
    }
  }

  #forget(jobId: string, token: string): void {
    if (this.#held.get(jobId) === token) this.#held.delete(jobId);
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
      isHungry: () => this.#options.wantsMore() && this.#held.size < this.#window,
      onLost: (jobs: ReadonlyMap<string, string>) => {
        for (const [id, token] of jobs) {
          this.#options.onLost?.(id, token);
          this.#forget(id, token);
        }
      },
      onAnswer: () => {
        this.#refused = false;
        this.steer();
      },
      replace: () => this.#replace(),
    };
  }

  /** BullMQ has been seen to fetch nothing after a reconnect, for ever. */
  #replace(): void {
    const { log, what } = this.#options;
    log(`queue: ${what} wait and none was fetched for a while; the worker is replaced`);
    const old = this.#fetcher;
    this.#fetcher = this.#open();
    this.#retired.add(old);
    this.#close(old)
      .catch(this.report)
      .finally(() => this.#retired.delete(old));
  }
}
