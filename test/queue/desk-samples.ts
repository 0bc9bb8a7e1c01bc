import { HandedBack } from '../../src/errors.ts';
import type { Clerk, Question } from '../../src/ports.ts';

export const IDS = [
  '01993f2e-7c1a-7000-8000-000000000001',
  '01993f2e-7c1a-7000-8000-000000000002',
  '01993f2e-7c1a-7000-8000-000000000003',
] as const;

/** Of an asker that nothing disturbs. */
export const CALM = { patience: 20_000, signal: new AbortController().signal };

interface Call extends Question {
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

/** A clerk whose answers a test gives one by one. */
export class Clerks {
  readonly #calls: Call[] = [];

  readonly clerk: Clerk = (question) =>
    new Promise((resolve, reject) => {
      this.#calls.push({ ...question, resolve, reject });
    });

  /** Ids in the order in which their questions came. */
  get seen(): string[] {
    return this.#calls.map(({ id }) => id);
  }

  call(at: number): Call {
    const call = this.#calls[at];
    if (call === undefined) throw new Error(`the clerk was asked ${this.#calls.length} times, not ${at + 1}`);
    return call;
  }

  /** Whatever a test left unanswered would hold up a stop. */
  dismiss(): void {
    for (const call of this.#calls) call.reject(new HandedBack());
  }
}
