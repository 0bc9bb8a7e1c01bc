import type { Word as Step } from './recovery.ts';

type Word = Step | 'loading' | 'stopping';

export interface Heard {
  readonly device: string;
  readonly word: Word;
}

/** Hears in kilnwatt's debug log what its workers do. */
export class Ear {
  /** Devices. */
  readonly #loading = new Set<string>();
  #rest = '';

  /** @returns the words of a piece of the log, which may end within a line */
  hear(text: string): readonly Heard[] {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => {
      const device = DEVICE.exec(line)?.[1];
      const word = device === undefined ? undefined : this.#wordOf(device, line);
      return device === undefined || word === undefined ? [] : [{ device, word }];
    });
  }

  #wordOf(device: string, line: string): Word | undefined {
    const state = STATE.exec(line)?.[1];
    if (state === 'generating') return 'begun';
    if (state === 'loading') this.#loading.add(device);
    if (state === 'loading' || state === 'stopping') return state;
    if (state === 'ready' && this.#loading.delete(device)) return 'loaded';
    return WORDS.find(([, pattern]) => pattern.test(line))?.[0];
  }
}

/** Every line of a worker, and of its supervisor, begins with its device. */
const DEVICE = /^([a-z]+(?::\d+)?): /;
/** What the supervisor says of itself. */
const STATE = /: the worker is (loading|ready|generating|stopping)$/;
/** What the fake engine says by itself. */
const WORDS: readonly (readonly [Word, RegExp])[] = [
  ['loaded', /the fake engine stands in for/],
  ['begun', / step 0$/],
];
