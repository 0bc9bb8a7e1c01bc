import { AppError, HandedBack } from '../errors.ts';
import type { AskOptions, Attendance, Clerk, Clock, Desk, Heard, Question } from '../ports.ts';
import { pause, settlesWithin } from '../process/clock.ts';
import { unlessAborted } from '../process/unless-aborted.ts';
import type { Millis } from '../units.ts';
import { answerOn, answerTo, type Paper, questionPaper } from './desk-paper.ts';

const STOP_LIMIT_MS: Millis = 10_000;

interface Lying {
  readonly id: string;
  /** As it would travel. */
  text: string;
  begun: boolean;
  /** Of all that asked; the last one takes it away. */
  readonly done: PromiseWithResolvers<void>;
}

/** A desk without a server, for tests: gone with the process. */
export class MemoryDesk implements Desk {
  readonly #clock: Clock;
  /** In the order in which they came. */
  readonly #lying = new Map<string, Lying>();
  readonly #stopLimit: Millis;
  #clerk: Clerk | undefined;
  #inHand: Promise<void> | undefined;
  /** Since when nothing has been in hand. */
  #idleSince: Millis = Number.NEGATIVE_INFINITY;
  /** Aborted when the clerk is not waited for any longer. */
  #givenUp = new AbortController();

  constructor(clock: Clock, { stopLimit = STOP_LIMIT_MS }: { readonly stopLimit?: Millis } = {}) {
    this.#clock = clock;
    this.#stopLimit = stopLimit;
  }

  async ask({ id, body }: Question, { patience, signal, onHandingIn }: AskOptions): Promise<Heard> {
    const text = JSON.stringify(questionPaper(body));
    if (signal.aborted) return { kind: 'interrupted', takenBack: true };
    onHandingIn?.();
    const lying = this.#lying.get(id) ?? { id, text, begun: false, done: Promise.withResolvers<void>() };
    this.#lying.set(id, lying);
    this.#attendNext();
    return (await this.#endsUnheard(lying, patience, signal)) ?? this.#collect(lying);
  }

  async attend(clerk: Clerk): Promise<Attendance> {
    if (this.#clerk !== undefined) throw new AppError('this desk is attended already', { code: 'queue_in_use' });
    this.#clerk = clerk;
    this.#attendNext();
    return { stop: () => this.#stop() };
  }

  async close(): Promise<void> {
    await this.#stop();
  }

  async #stop(): Promise<void> {
    this.#clerk = undefined;
    if (this.#inHand === undefined || (await settlesWithin(this.#clock, this.#stopLimit, this.#inHand))) return;
    this.#givenUp.abort(new HandedBack());
    await this.#inHand;
    this.#givenUp = new AbortController();
  }

  /** Undefined once it is answered. */
  async #endsUnheard(lying: Lying, patience: Millis, signal: AbortSignal): Promise<Heard | undefined> {
    const clock = this.#clock;
    const began = clock.monotonic();
    for (let delay = patience; ; ) {
      const what = await this.#waits(lying, delay, signal);
      if (what === 'answered') return undefined;
      if (what === 'aborted') return this.#interrupted(lying);
      delay = this.#inHand === undefined ? Math.max(began, this.#idleSince) + patience - clock.monotonic() : patience;
      if (delay > 0) continue;
      this.#lying.delete(lying.id);
      return { kind: lying.begun ? 'abandoned' : 'unheard' };
    }
  }

  async #waits(lying: Lying, delay: Millis, signal: AbortSignal): Promise<'answered' | 'over' | 'aborted'> {
    const waiting = new AbortController();
    const answered = lying.done.promise.then(() => 'answered' as const);
    const over = pause(this.#clock, delay, AbortSignal.any([signal, waiting.signal])).then(
      () => 'over' as const,
      () => 'aborted' as const,
    );
    const what = await Promise.race([answered, over]);
    waiting.abort();
    return what;
  }

  #interrupted({ id, begun }: Lying): Heard {
    if (!begun) this.#lying.delete(id);
    return { kind: 'interrupted', takenBack: !begun };
  }

  #collect({ id, text }: Lying): Heard {
    this.#lying.delete(id);
    return { kind: 'answered', answer: answerOn(JSON.parse(text)) };
  }

  #attendNext(): void {
    const clerk = this.#clerk;
    const next = [...this.#lying.values()].find(({ text }) => isOpen(text));
    if (this.#inHand !== undefined || clerk === undefined || next === undefined) return;
    next.begun = true;
    this.#inHand = this.#answer(next, clerk).finally(() => {
      this.#inHand = undefined;
      this.#idleSince = this.#clock.monotonic();
      this.#attendNext();
    });
  }

  async #answer(lying: Lying, clerk: Clerk): Promise<void> {
    try {
      const answer = answerTo(JSON.parse(lying.text), { id: lying.id, clerk, log: () => {} });
      const paper = await unlessAborted(answer, this.#givenUp.signal);
      lying.text = JSON.stringify(paper);
      lying.done.resolve();
    } catch (error) {
      if (!(error instanceof HandedBack)) throw error;
    }
  }
}

function isOpen(text: string): boolean {
  return (JSON.parse(text) as Paper).kind === 'question';
}
