import { AppError, UnavailableError } from '../errors.ts';
import type { AskOptions, Attendance, Clerk, Clock, Desk, Heard, Question } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import type { Producer } from './bullmq-commands.ts';
import { attendDesk } from './desk-attendance.ts';
import { answerOn, isAnswered, type Paper, questionPaper } from './desk-paper.ts';
import { ProducerLine } from './producer-line.ts';
import { type RedisConnection, type RedisServer, redisServer } from './redis-server.ts';

export interface BullmqDeskOptions {
  readonly connection: RedisConnection;
  /** Name of the queue whose desk it is. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: (line: string) => void;
  /** How long a command is tried before the server counts as not to be had. */
  readonly patienceMs?: Millis;
  /** How long a question stays with whoever has died over it, if nobody comes in its place. */
  readonly lockDurationMs?: Millis;
  /** How long a stop waits for the answer to the question in hand. */
  readonly stopLimitMs?: Millis;
}

const PATIENCE_MS = 10_000;
const LOCK_MS = 30_000;
const IDLE_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
/** BullMQ asks for no longer than 10 s at a time. */
const FETCH_ANSWER_LIMIT_MS = 12_000;
/** As long as a large file may take over a slow link. */
const ANSWER_LIMIT_MS = 60_000;
const POLL_MS = 100;

/** An answer whose asker has gone is kept for an hour. */
const JOB_OPTIONS = {
  removeOnComplete: { age: 3_600, count: 1_000 },
  removeOnFail: { age: 3_600, count: 1_000 },
} as const;
const EVENTS_KEPT = 100;

/** Where a question is. `done`: it has its answer; `absent` also where the server has lost it. */
type Whereabouts = 'absent' | 'lying' | 'done';

/** A desk on a second queue of BullMQ: a question is a job, which is answered in place. Connects with its first command. */
export class BullmqDesk implements Desk {
  readonly #options: BullmqDeskOptions;
  readonly #server: RedisServer;
  readonly #name: string;
  readonly #line: ProducerLine;
  #attendance: Promise<Attendance> | undefined;

  /** @throws ConfigError `redis_url_broken` */
  constructor(options: BullmqDeskOptions) {
    this.#options = options;
    this.#server = redisServer(options.connection);
    this.#name = `${options.name}-desk`;
    this.#line = new ProducerLine({
      server: this.#server,
      name: this.#name,
      clock: options.clock,
      log: options.log,
      patience: options.patienceMs ?? PATIENCE_MS,
      answer: ANSWER_LIMIT_MS,
      jobOptions: JOB_OPTIONS,
      eventsKept: EVENTS_KEPT,
    });
  }

  async ask({ id, body }: Question, options: AskOptions): Promise<Heard> {
    const paper = questionPaper(body);
    const asked = new Asked({ ...options, id, paper, line: this.#line, clock: this.#options.clock });
    const heard = await asked.heard();
    return heard.kind === 'paper' ? { kind: 'answered', answer: answerOn(heard.paper) } : heard;
  }

  attend(clerk: Clerk): Promise<Attendance> {
    if (this.#attendance !== undefined)
      return Promise.reject(new AppError('this desk is attended already', { code: 'queue_in_use' }));
    const { clock, log, lockDurationMs: lock = LOCK_MS, stopLimitMs: stopLimit = STOP_LIMIT_MS } = this.#options;
    const limits = { lock, away: lock / 2, idle: IDLE_LIMIT_MS, answer: FETCH_ANSWER_LIMIT_MS };
    const [server, name, line] = [this.#server, this.#name, this.#line];
    this.#attendance = attendDesk({ server, name, line, clock, log, limits, stopLimit, clerk });
    return this.#opened(this.#attendance);
  }

  async #opened(opening: Promise<Attendance>): Promise<Attendance> {
    try {
      const attendance = await opening;
      const stop = async (): Promise<void> => {
        await attendance.stop();
        if (this.#attendance === opening) this.#attendance = undefined;
      };
      return { stop };
    } catch (error) {
      this.#attendance = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#line.close(async () => {
      const attendance = await this.#attendance?.catch(() => undefined);
      await attendance?.stop();
    });
  }
}

interface AskedOptions extends AskOptions {
  readonly id: string;
  readonly paper: Paper;
  readonly line: ProducerLine;
  readonly clock: Clock;
}

/** What lies there where the answer is to be, unread, or how it ended without one. */
type Found = Exclude<Heard, { kind: 'answered' }> | { readonly kind: 'paper'; readonly paper: unknown };

/** One question on its way. */
class Asked {
  readonly #options: AskedOptions;
  #handedIn = false;
  /** When nobody is expected to attend any more; later after each sign that somebody does. */
  #deadline: Millis;

  constructor(options: AskedOptions) {
    this.#options = options;
    this.#deadline = options.clock.monotonic() + options.patience;
  }

  async heard(): Promise<Found> {
    const { signal, clock } = this.#options;
    try {
      for (;;) {
        signal.throwIfAborted();
        const found = await this.#look();
        if (found !== undefined) return found;
        await pause(clock, POLL_MS, signal);
      }
    } catch (error) {
      if (signal.aborted) return { kind: 'interrupted', takenBack: await this.#takenBackAtLast() };
      throw this.#handedIn && error instanceof UnavailableError ? inDoubt(error) : error;
    }
  }

  async #look(): Promise<Found | undefined> {
    const { id, paper, signal, line, clock, patience } = this.#options;
    const { where, attended } = await line.retrying((producer) => lookFor(producer, id), signal);
    if (where === 'done') return this.#collect();
    if (!this.#handedIn) this.#options.onHandingIn?.();
    // Before it is known: what the server has taken need not have been acknowledged.
    this.#handedIn = true;
    if (where === 'absent') {
      await line.retrying(({ queue }) => queue.add('question', paper, { jobId: id }), signal);
    }
    // Whoever has another one in hand comes to this one too.
    if (attended) this.#deadline = clock.monotonic() + patience;
    if (where === 'absent' || clock.monotonic() < this.#deadline) return undefined;
    const taken = await line.retrying((producer) => takeBack(producer, id, { asker: 'stays' }), signal);
    if (taken === 'in_hand') return undefined;
    if (taken === 'taken_back') return { kind: 'unheard' };
    // Whoever died may have written the answer in its place, and only not said so.
    return isAnswered(taken.abandoned) ? { kind: 'paper', paper: taken.abandoned } : { kind: 'abandoned' };
  }

  /** Removed once it is read; where that fails, the server forgets it in time. */
  async #collect(): Promise<Found | undefined> {
    const { id, line, signal } = this.#options;
    const job = await line.retrying(({ queue }) => queue.getJob(id), signal);
    if (job === undefined) return undefined;
    await line.once(({ queue }) => queue.getBackend().remove(id, false)).catch(() => {});
    return { kind: 'paper', paper: job.data };
  }

  async #takenBackAtLast(): Promise<boolean> {
    if (!this.#handedIn) return true;
    const { id, line } = this.#options;
    const taken = line.once((producer) => takeBack(producer, id, { asker: 'leaves' }));
    return (await taken.catch(() => null)) === 'taken_back';
  }
}

function inDoubt(error: UnavailableError): UnavailableError {
  const sentence = `${error.message} What was handed in may still be taken when it is back.`;
  return new UnavailableError(sentence, { code: error.code, retryable: error.retryable, cause: error });
}

async function lookFor(
  { redis, queue }: Producer,
  id: string,
): Promise<{ readonly where: Whereabouts; readonly attended: boolean }> {
  const state = await queue.getJobState(id);
  if (state === 'completed') return { where: 'done', attended: true };
  const attended = await redis.eval(ATTENDED, 1, queue.toKey('active'), queue.toKey(''));
  const where = state === 'unknown' ? 'absent' : 'lying';
  return { where, attended: attended === 1 };
}

/** A question in hand is under a lock, which is kept as long as its clerk lives. */
const IS_ATTENDED = `
local function isAttended(active, prefix)
  for _, id in ipairs(redis.call('LRANGE', active, 0, -1)) do
    if redis.call('EXISTS', prefix .. id .. ':lock') == 1 then return true end
  end
  return false
end
`;

const ATTENDED = `${IS_ATTENDED} return isAttended(KEYS[1], ARGV[1]) and 1 or 0`;

/**
 * Takes a question out that nobody is going to answer. One that somebody has begun with may be answered in a store: an
 * asker who leaves leaves it there, and one who stays gets it back as it is now. It may have been answered a moment ago.
 */
const TAKE_BACK = `${IS_ATTENDED}
local stays = ARGV[3] == 'stays'
if stays and isAttended(KEYS[1], ARGV[2]) then return 'in_hand' end
local begun = tonumber(redis.call('HGET', KEYS[3], 'ats') or 0) > 0
if begun and not stays then return 'in_hand' end
if redis.call('LREM', KEYS[2], 0, ARGV[1]) + redis.call('LREM', KEYS[1], 0, ARGV[1]) == 0 then return 'in_hand' end
local data = redis.call('HGET', KEYS[3], 'data')
redis.call('UNLINK', KEYS[3])
return begun and { data } or 'taken_back'
`;

async function takeBack(
  { redis, queue }: Producer,
  id: string,
  { asker }: { readonly asker: 'stays' | 'leaves' },
): Promise<'in_hand' | 'taken_back' | { readonly abandoned: unknown }> {
  const keys = ['active', 'wait', id].map((name) => queue.toKey(name));
  const taken = await redis.eval(TAKE_BACK, keys.length, ...keys, id, queue.toKey(''), asker);
  return Array.isArray(taken) ? { abandoned: JSON.parse(String(taken[0])) } : (taken as 'in_hand' | 'taken_back');
}
