import { type Job as BullJob, WaitingError } from 'bullmq';
import { HandedBack, sentenceOf } from '../errors.ts';
import type { Attendance, Clerk, Clock } from '../ports.ts';
import type { Millis } from '../units.ts';
import { giveBackActive } from './bullmq-commands.ts';
import { Fetcher } from './bullmq-fetcher.ts';
import { isOvertaken } from './bullmq-locks.ts';
import { Watch, type WatchLimits } from './bullmq-watch.ts';
import { answerTo, type Paper } from './desk-paper.ts';
import type { ProducerLine } from './producer-line.ts';
import { isReply, type RedisServer } from './redis-server.ts';

export interface DeskAttendanceOptions {
  readonly server: RedisServer;
  readonly name: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  readonly line: ProducerLine;
  readonly limits: WatchLimits & { readonly answer: Millis };
  readonly clerk: Clerk;
}

/** @throws UnavailableError `redis_unavailable` */
export async function attendDesk(options: DeskAttendanceOptions): Promise<Attendance> {
  // A queue that another program left paused would hand out nothing, and nobody would say why.
  await options.line.retrying(({ queue }) => queue.resume());
  await options.line.retrying(giveBackActive);
  return new DeskAttendance(options);
}

/** Takes one question at a time to the clerk and writes the answer in its place, over one Fetcher that a {@link Watch} guards. */
class DeskAttendance implements Attendance {
  readonly #options: DeskAttendanceOptions;
  readonly #watch: Watch;
  #fetcher: Fetcher;
  /** Those that were replaced and still finish their last question. */
  readonly #retired = new Set<Fetcher>();
  /** Questions that have arrived and are not finished, each with the token of its lock. */
  readonly #held = new Map<string, string>();
  /** What the clerk has in hand. */
  #asked: Promise<unknown> = Promise.resolve();
  /** The server refused a command; until it answers the watch again, it is left alone. */
  #refused = false;
  #troubles = new Set<string>();
  #stopping: Promise<void> | undefined;

  constructor(options: DeskAttendanceOptions) {
    const { clock, log, line, limits } = options;
    this.#options = options;
    this.#fetcher = this.#open();
    const watched = this.#watched();
    this.#watch = new Watch({ clock, log, limits, watched, ask: line.once, report: this.#report, onAway: () => {} });
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#fetcher.fetch(false);
    await Promise.allSettled([this.#asked]);
    this.#watch.stop();
    await Promise.all([this.#fetcher, ...this.#retired].map((fetcher) => fetcher.close()));
  }

  #steer(): void {
    this.#fetcher.fetch(this.#stopping === undefined && !this.#refused);
  }

  #open(): Fetcher {
    const { server, name, clock, limits } = this.#options;
    return new Fetcher({
      ...{ server, name, clock, lockDuration: limits.lock, answerLimit: limits.answer, window: 1 },
      process: (job, token) => this.#process(job, token),
      onArrived: (id, token) => {
        this.#watch.fed();
        this.#held.set(id, token);
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

  #watched() {
    return {
      held: () => this.#held,
      isOurs: (token: string) => [this.#fetcher, ...this.#retired].some((fetcher) => fetcher.owns(token)),
      roundTrip: async () => {
        await Promise.all([this.#fetcher, ...this.#retired].map((fetcher) => fetcher.roundTrip()));
        this.#troubles.clear();
      },
      isHungry: () => this.#stopping === undefined && this.#held.size === 0,
      // Whoever has it now finds it answered, or asks the clerk, who knows it by its id.
      onLost: (lost: ReadonlyMap<string, string>) => {
        for (const [id, token] of lost) this.#forget(id, token);
      },
      onAnswer: () => {
        this.#refused = false;
        this.#steer();
      },
      replace: () => this.#replace(),
    };
  }

  #replace(): void {
    this.#options.log('queue: questions wait and none was fetched for a while; the connection is made anew');
    const old = this.#fetcher;
    this.#fetcher = this.#open();
    this.#retired.add(old);
    old
      .close()
      .catch(this.#report)
      .finally(() => this.#retired.delete(old));
  }

  async #process(job: BullJob<unknown, void>, token: string): Promise<void> {
    const { id = '' } = job;
    try {
      const paper = await this.#inTurn(() => this.#answered(id, job.data));
      // Before the job is completed: whoever finds it after a death in between finds the answer.
      if (paper !== null) await job.updateData(paper);
    } catch (error) {
      if (error instanceof HandedBack) await job.moveToWait(token).catch(this.#report);
      else this.#report(error);
      // Anything else is about the server: the watch gives the question back when that can be reached.
      throw new WaitingError();
    } finally {
      this.#forget(id, token);
    }
  }

  /** A question that comes while another is in hand, over a connection that replaces an older one, waits. */
  #inTurn(ask: () => Promise<Paper | null>): Promise<Paper | null> {
    const turn = Promise.allSettled([this.#asked]).then(ask);
    this.#asked = turn;
    return turn;
  }

  /** Null for one that has its answer already. */
  async #answered(id: string, written: unknown): Promise<Paper | null> {
    // One that was on its way when it was said that none is wanted.
    if (this.#stopping !== undefined) throw new HandedBack();
    const { clerk, log } = this.#options;
    return answerTo(written, { id, clerk, log });
  }

  #forget(id: string, token: string): void {
    if (this.#held.get(id) === token) this.#held.delete(id);
  }

  /** A trouble is told once and not at each try, until all is well again. */
  readonly #report = (error: unknown): void => {
    const trouble = sentenceOf(error);
    if (isOvertaken(error) || this.#troubles.has(trouble)) return;
    this.#troubles.add(trouble);
    this.#options.log(`queue: ${trouble}`);
  };
}
