import { AppError, HandedBack } from '../errors.ts';
import type { AskOptions, Attendance, Clerk, Clock, Desk, Heard, Question } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { answerOn, answerTo, type Paper, questionPaper } from './desk-paper.ts';

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
  #clerk: Clerk | undefined;
  #inHand: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
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
    const stop = async (): Promise<void> => {
      this.#clerk = undefined;
      await this.#inHand;
    };
    return { stop };
  }

  async close(): Promise<void> {
    this.#clerk = undefined;
    await this.#inHand;
  }

  /** Undefined once it is answered. */
  async #endsUnheard(lying: Lying, patience: Millis, signal: AbortSignal): Promise<Heard | undefined> {
    const answered = lying.done.promise.then(() => 'answered' as const);
    for (;;) {
      const waiting = new AbortController();
      const over = pause(this.#clock, patience, AbortSignal.any([signal, waiting.signal])).then(
        () => 'over' as const,
        () => 'aborted' as const,
      );
      const what = await Promise.race([answered, over]);
      waiting.abort();
      if (what === 'answered') return undefined;
      const takenBack = !lying.begun && (what === 'aborted' || this.#inHand === undefined);
      if (takenBack) this.#lying.delete(lying.id);
      if (what === 'aborted') return { kind: 'interrupted', takenBack };
      if (takenBack) return { kind: 'unheard' };
    }
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
      this.#attendNext();
    });
  }

  async #answer(lying: Lying, clerk: Clerk): Promise<void> {
    try {
      const paper = await answerTo(JSON.parse(lying.text), { id: lying.id, clerk, log: () => {} });
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
