import { AppError, sentenceOf } from '../errors.ts';
import type { BatchResult, Clock, EnergyReading, Failure, Made, WorkFigures } from '../ports.ts';
import type { Seconds } from '../units.ts';
import { energyOf } from './energy.ts';
import type { Inbound, InboundOf, Phase } from './messages.ts';

/** What a batch came to. */
export interface BatchReport {
  /** One an item, in their order. */
  readonly answers: readonly (Made | Failure)[];
  /** As seen from here where the worker did not live to tell. */
  readonly seconds: Seconds;
  readonly phases: BatchResult['shared']['phases'];
  /** The worker's own figures; null if it died. */
  readonly memory: InboundOf<'done'>['memory'] | null;
  readonly energy: EnergyReading;
  readonly steps: BatchResult['shared']['steps'];
  readonly work: BatchResult['shared']['work'];
}

type Answer = Made | Failure;
type TimedPhase = keyof BatchResult['shared']['phases'];

const NO_TIME: BatchResult['shared']['phases'] = { encode: 0, denoise: 0, decode: 0, save: 0 };

/** The answers to one batch: exactly one an item, then `done`. */
export class Answers {
  readonly batch: string;
  readonly #clock: Clock;
  readonly #outOf: ReadonlyMap<string, string>;
  readonly #answers = new Map<string, Answer>();
  readonly #cancelled = new Set<string>();
  readonly #givenUp = new Map<string, Failure>();
  readonly #phases: Record<TimedPhase, number> = { ...NO_TIME };
  readonly #begun: number;
  #phase: Phase = 'encode';
  #since: number;

  constructor(batch: string, items: readonly { readonly job: string; readonly out: string }[], clock: Clock) {
    this.batch = batch;
    this.#clock = clock;
    this.#outOf = new Map(items.map((item) => [item.job, item.out]));
    this.#begun = this.#since = clock.monotonic();
  }

  /** Items without an answer, in the order of the batch. */
  get open(): readonly string[] {
    return [...this.#outOf.keys()].filter((job) => !this.#answers.has(job) && !this.#cancelled.has(job));
  }

  /** Somebody waits for one of those that are open. */
  get isWanted(): boolean {
    return this.open.some((job) => !this.#givenUp.has(job));
  }

  /** Given up before it was asked for: it is answered, and no order names it. */
  leaveOut(job: string, reason: unknown): void {
    this.#answers.set(job, givenUp(job, reason));
  }

  /** Its answer, unless the worker has another. */
  giveUp(job: string, reason: unknown): void {
    this.#givenUp.set(job, givenUp(job, reason));
  }

  /** Some item has no answer, although nobody gave it up by itself. */
  get isIncomplete(): boolean {
    return [...this.#outOf.keys()].some((job) => !this.#answers.has(job) && !this.#givenUp.has(job));
  }

  get pictures(): number {
    return [...this.#answers.values()].filter(({ kind }) => kind === 'made').length;
  }

  failedWith(code: string): boolean {
    return [...this.#answers.values()].some((answer) => answer.kind === 'failure' && answer.code === code);
  }

  /** Books an answer. Returns why it is against the protocol. */
  take(message: InboundOf<'image' | 'failure' | 'cancelled' | 'progress' | 'done'>): string | undefined {
    if (message.batch !== this.batch) return `${message.type} is about batch ${message.batch}, not ${this.batch}`;
    if (message.type === 'done') {
      return this.open.length > 0 ? `done came without an answer for ${this.open.join(', ')}` : undefined;
    }
    if (message.type === 'progress') {
      this.#enter(message.phase);
      return undefined;
    }
    const jobs = message.type === 'cancelled' ? message.jobs : [message.job];
    const wrong = jobs.find((job) => job === null || !this.open.includes(job));
    if (wrong !== undefined) return `${message.type} answers ${wrong}, which is not open in batch ${this.batch}`;
    if (message.type !== 'cancelled') return this.#answer(message);
    for (const job of message.jobs) this.#cancelled.add(job);
    return undefined;
  }

  /** After `done`. */
  report(done: InboundOf<'done'>): BatchReport {
    const { seconds, phases, memory, energy } = done;
    const missing = new AppError('the worker left it out, although nobody had asked for that', {
      // Not `cancelled`: nobody withdrew it, and it is to be made.
      code: 'left_out',
      retryable: true,
    });
    const { steps, work } = done;
    const told = { seconds, phases, memory, energy: energyOf(energy), steps, work: work && workOf(work) };
    return { answers: this.#all(missing), ...told };
  }

  /** Where every item was left out. */
  reportOfNothing(): BatchReport {
    const energy: EnergyReading = { millijoules: 0, method: 'derived', meter: 'none' };
    const unmade = { seconds: 0, phases: NO_TIME, memory: null, steps: null, work: null };
    return { answers: [...this.#answers.values()], ...unmade, energy };
  }

  /** After the end of the worker: answers that had come are kept, the other items fail with the error. */
  reportOfEnd(error: AppError): BatchReport {
    this.#enter(this.#phase);
    return {
      answers: this.#all(error),
      seconds: (this.#clock.monotonic() - this.#begun) / 1_000,
      phases: { ...this.#phases },
      memory: null,
      energy: { millijoules: null, method: 'unknown', meter: 'none' },
      steps: null,
      work: null,
    };
  }

  #all(missing: AppError): readonly Answer[] {
    return [...this.#outOf.keys()].map(
      (job) => this.#answers.get(job) ?? this.#givenUp.get(job) ?? failure(job, missing),
    );
  }

  #answer(message: InboundOf<'image' | 'failure'>): string | undefined {
    const job = message.job ?? '';
    if (message.type === 'failure') {
      const { code, message: sentence, retryable } = message;
      this.#answers.set(job, { kind: 'failure', job, code, message: sentence, retryable });
      return undefined;
    }
    const { out, width, height } = message;
    if (out !== this.#outOf.get(job)) return `the picture of ${job} is in ${out}, not in ${this.#outOf.get(job)}`;
    this.#answers.set(job, { kind: 'made', job, temporary: out, width, height });
    return undefined;
  }

  #enter(phase: Phase): void {
    const now = this.#clock.monotonic();
    if (isTimed(this.#phase)) this.#phases[this.#phase] += (now - this.#since) / 1_000;
    this.#since = now;
    this.#phase = phase;
  }
}

/** True for the messages that answer a batch; a failure without a job answers a load. */
export function isAboutBatch(message: Inbound): message is Parameters<Answers['take']>[0] {
  if (message.type === 'failure') return message.batch !== null;
  return ['image', 'cancelled', 'progress', 'done'].includes(message.type);
}

function workOf({ cached_prompts: cachedPrompts, ...work }: NonNullable<InboundOf<'done'>['work']>): WorkFigures {
  return { ...work, cachedPrompts };
}

function isTimed(phase: Phase): phase is TimedPhase {
  return phase in NO_TIME;
}

function failure(job: string, { code, message, retryable }: AppError): Failure {
  return { kind: 'failure', job, code, message, retryable };
}

function givenUp(job: string, reason: unknown): Failure {
  const code = reason instanceof AppError ? reason.code : 'cancelled';
  return failure(job, new AppError(sentenceOf(reason), { code }));
}
