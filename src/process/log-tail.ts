import { CARRIAGE_RETURN, LINE_FEED, LineSplitter } from './lines.ts';

const LINE_BYTES = 4_096;

/**
 * The last lines of what a child prints, for error messages. Progress bars redraw their line with a
 * carriage return, so that ends a line as well. Blank lines are left out, long ones are cut.
 */
export class LogTail {
  readonly #keep: number;
  readonly #onLine: (line: string) => void;
  readonly #lines: string[] = [];

  constructor(options: { readonly keep: number; onLine(line: string): void }) {
    this.#keep = options.keep;
    this.#onLine = options.onLine;
  }

  /** A splitter for one stream; streams do not break each other's lines. */
  splitter(): LineSplitter {
    return new LineSplitter({
      ends: [LINE_FEED, CARRIAGE_RETURN],
      limit: LINE_BYTES,
      onLine: (line) => this.add(line),
      onOverlong: (beginning) => this.add(`${beginning}…`),
    });
  }

  add(text: string): void {
    const line = text.trimEnd();
    if (line === '') return;
    this.#lines.push(line);
    if (this.#lines.length > this.#keep) this.#lines.shift();
    this.#onLine(line);
  }

  /** Oldest first. */
  last(count: number): readonly string[] {
    return count <= 0 ? [] : this.#lines.slice(-count);
  }
}
