import type { Word } from './recovery.ts';

/** Hears in kilnwatt's debug log what its worker does. */
export class Ear {
  #isLoading = false;
  #rest = '';

  /** @returns the words of a piece of the log, which may end within a line */
  hear(text: string): readonly Word[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#wordOf(line) ?? []);
  }

  #wordOf(line: string): Word | undefined {
    const state = STATE.exec(line)?.[1];
    if (state === 'loading') this.#isLoading = true;
    if (state === 'generating') return 'begun';
    if (state !== 'ready' || !this.#isLoading) return WORDS.find(([, pattern]) => pattern.test(line))?.[0];
    this.#isLoading = false;
    return 'loaded';
  }
}

/** What the supervisor says of itself. */
const STATE = /: the worker is (loading|ready|generating)$/;
/** What the fake engine says by itself. */
const WORDS: readonly (readonly [Word, RegExp])[] = [
  ['loaded', /the fake engine stands in for/],
  ['begun', / step 0$/],
];
