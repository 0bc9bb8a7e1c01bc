export interface LineOptions {
  /** Bytes that end a line. */
  readonly ends: readonly number[];
  /** Bytes that a line may have without its end. */
  readonly limit: number;
  onLine(line: string): void;
  /** Called once for a line that is too long, with its beginning; the rest of it is dropped. */
  onOverlong(beginning: string): void;
}

export const LINE_FEED = 0x0a;
export const CARRIAGE_RETURN = 0x0d;

/** Cuts a byte stream into lines and never holds more than one line of at most `limit` bytes. */
export class LineSplitter {
  readonly #options: LineOptions;
  #parts: Buffer[] = [];
  #size = 0;
  #dropping = false;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let index = 0; index < chunk.length; index += 1) {
      if (!this.#options.ends.includes(chunk[index] ?? -1)) continue;
      this.#take(chunk.subarray(start, index));
      this.#finish();
      start = index + 1;
    }
    this.#take(chunk.subarray(start));
  }

  /** The stream is over: what is left is a line too. */
  end(): void {
    if (this.#size > 0) this.#finish();
  }

  #take(part: Buffer): void {
    if (this.#dropping || part.length === 0) return;
    this.#parts.push(part);
    this.#size += part.length;
    if (this.#size <= this.#options.limit) return;
    this.#options.onOverlong(this.#text().subarray(0, this.#options.limit).toString('utf8'));
    this.#parts = [];
    this.#dropping = true;
  }

  #finish(): void {
    const line = this.#dropping ? null : this.#text().toString('utf8');
    this.#parts = [];
    this.#size = 0;
    this.#dropping = false;
    if (line !== null) this.#options.onLine(line);
  }

  #text(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
