import { type Job as BullJob, WaitingError } from 'bullmq';
import { HandedBack } from '../errors.ts';
import type { Attendance, Clerk } from '../ports.ts';
import { settlesWithin } from '../process/clock.ts';
import { unlessAborted } from '../process/unless-aborted.ts';
import type { Millis } from '../units.ts';
import { giveBackActive } from './bullmq-commands.ts';
import { Intake, type IntakeOptions } from './bullmq-intake.ts';
import { answerTo, type Paper } from './desk-paper.ts';
import type { ProducerLine } from './producer-line.ts';

export interface DeskAttendanceOptions extends Pick<IntakeOptions, 'server' | 'name' | 'clock' | 'log' | 'limits'> {
  readonly line: ProducerLine;
  /** How long a stop waits for the clerk. */
  readonly stopLimit: Millis;
  readonly clerk: Clerk;
}

/** @throws UnavailableError `redis_unavailable` */
export async function attendDesk(options: DeskAttendanceOptions): Promise<Attendance> {
  // A queue that another program left paused would hand out nothing, and nobody would say why.
  await options.line.retrying(({ queue }) => queue.resume());
  await options.line.retrying(giveBackActive);
  return new DeskAttendance(options);
}

/** Takes one question at a time to the clerk and writes the answer in its place. */
class DeskAttendance implements Attendance {
  readonly #options: DeskAttendanceOptions;
  readonly #intake: Intake;
  /** What the clerk has in hand. */
  #asked: Promise<unknown> = Promise.resolve();
  #stopped = false;
  /** Aborted when the clerk is not waited for any longer. */
  readonly #givenUp = new AbortController();
  #stopping: Promise<void> | undefined;

  constructor(options: DeskAttendanceOptions) {
    this.#options = options;
    const { server, name, clock, log, limits, line } = options;
    this.#intake = new Intake({
      ...{ server, name, clock, log, limits, ask: line.once, what: 'questions', window: 1 },
      wantsMore: () => !this.#stopped,
      // One whose lock is lost is left to its end: whoever has it now finds it answered, or asks the clerk, who knows it.
      process: (job, token) => this.#process(job, token),
    });
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#stopped = true;
    this.#intake.steer();
    const { clock, stopLimit, log } = this.#options;
    const answered = Promise.allSettled([this.#asked]);
    if (!(await settlesWithin(clock, stopLimit, answered))) {
      log('queue: what was handed in last takes too long; whoever serves next is asked again');
      this.#givenUp.abort(new HandedBack());
      await answered;
    }
    await this.#intake.close();
  }

  async #process(job: BullJob<unknown, void>, token: string): Promise<void> {
    const { id = '' } = job;
    try {
      const paper = await this.#inTurn(() => this.#answered(id, job.data));
      // Before the job is completed: whoever finds it after a death in between finds the answer.
      if (paper !== null) await job.updateData(paper);
    } catch (error) {
      if (error instanceof HandedBack) await job.moveToWait(token).catch(this.#intake.report);
      else this.#intake.report(error);
      // Anything else is about the server: the watch gives the question back when that can be reached.
      throw new WaitingError();
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
    if (this.#stopped) throw new HandedBack();
    const { clerk, log } = this.#options;
    return unlessAborted(answerTo(written, { id, clerk, log }), this.#givenUp.signal);
  }
}
