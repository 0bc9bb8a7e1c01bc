import type { BatchResult, Clock, EnergyReading, Failure, Made } from '../ports.ts';
import type { Seconds } from '../units.ts';
import type { Inbound, InboundOf } from './messages.ts';

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
}

type Answer = Made | Failure;
type TimedPhase = keyof BatchResult['shared']['phases'];

/** The answers to one batch: exactly one an item, then `done`. */
export class Answers {
  readonly batch: string;
  readonly #clock: Clock;
  readonly #outOf: ReadonlyMap<string, string>;
  readonly #answers = new Map<string, Answer>();
  readonly #cancelled = new Set<string>();
  readonly #phases = { encode: 0, denoise: 0, decode: 0, save: 0 };
  readonly #begun: number;
  #phase: TimedPhase = 'encode';
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

  /** After `done`, if no item was cancelled. */
  report(done: InboundOf<'done'>): BatchReport {
    const { seconds, phases, memory, energy } = done;
    const missing = (job: string) =>
      failure(job, 'cancelled', 'the worker left it out, although nobody had asked for that');
    return { answers: this.#all(missing), seconds, phases, memory, energy };
  }

  /** After a death: answers that had come are kept, the other items fail with `worker_died`. */
  reportOfDeath(sentence: string): BatchReport {
    this.#enter(this.#phase);
    return {
      answers: this.#all((job) => failure(job, 'worker_died', sentence)),
      seconds: (this.#clock.monotonic() - this.#begun) / 1_000,
      phases: { ...this.#phases },
      memory: null,
      energy: { millijoules: null, method: 'unknown', meter: 'none' },
    };
  }

  get anyCancelled(): boolean {
    return this.#cancelled.size > 0;
  }

  #all(missing: (job: string) => Failure): readonly Answer[] {
    return [...this.#outOf.keys()].map((job) => this.#answers.get(job) ?? missing(job));
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

  #enter(phase: InboundOf<'progress'>['phase']): void {
    const now = this.#clock.monotonic();
    this.#phases[this.#phase] += (now - this.#since) / 1_000;
    this.#since = now;
    if (phase !== 'idle' && phase !== 'load') this.#phase = phase;
  }
}

/** True for the messages that answer a batch; a failure without a job answers a load. */
export function isAboutBatch(message: Inbound): message is Parameters<Answers['take']>[0] {
  if (message.type === 'failure') return message.batch !== null;
  return ['image', 'cancelled', 'progress', 'done'].includes(message.type);
}

function failure(job: string, code: string, message: string): Failure {
  return { kind: 'failure', job, code, message, retryable: true };
}
