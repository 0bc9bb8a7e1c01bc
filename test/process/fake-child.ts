import type { Child, ChildSpec, Exit, StopRung } from '../../src/process/child.ts';
import { LINE_FEED, LineSplitter } from '../../src/process/lines.ts';
import { LogTail } from '../../src/process/log-tail.ts';

/** A child without a process: what it says and when it goes is its test's to decide. */
export class FakeChild implements Child {
  readonly pid = 7;
  readonly log = new LogTail({ keep: 20, onLine: () => {} });
  readonly exited: Promise<Exit>;
  readonly spec: ChildSpec;
  /** Lines on its standard input. */
  readonly heard: string[] = [];
  /** It was to be stopped, and has not gone yet. */
  stopping = false;
  gone = false;
  left = false;
  readonly #channel: LineSplitter;
  #leave: (exit: Exit) => void = () => {};
  readonly #onHeard: (line: string) => void;
  readonly #heedsStop: boolean;

  /** @param options.heedsStop whether it goes as soon as it is stopped, and not when its test says so */
  constructor(spec: ChildSpec, options: { readonly heedsStop: boolean; onHeard?(line: string): void }) {
    const { limit = 1_024, onLine, onOverlong } = spec.channel ?? {};
    this.spec = spec;
    this.#heedsStop = options.heedsStop;
    this.#onHeard = (line) => options.onHeard?.(line);
    this.#channel = new LineSplitter({
      ends: [LINE_FEED],
      limit,
      onLine: (line) => onLine?.call(spec.channel, line),
      onOverlong: () => onOverlong?.call(spec.channel),
    });
    this.exited = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  /** Bytes on descriptor 3. */
  write(bytes: Buffer): void {
    this.#channel.push(bytes);
  }

  /** It has exited, and something still holds its log open: its end is heard of with `exit`. */
  leave(): void {
    this.left = true;
  }

  exit(exit: Partial<Exit> = {}): void {
    this.gone = true;
    this.left = true;
    this.#leave({ code: null, signal: null, error: null, ...exit });
  }

  send(line: string): void {
    this.heard.push(line);
    this.#onHeard(line);
  }

  endInput(): void {}

  async stop(ask?: () => void): Promise<StopRung> {
    if (this.gone) return 'gone';
    ask?.();
    this.stopping = true;
    // As with a process, its end is heard of in another turn of the event loop.
    if (this.#heedsStop) setImmediate(() => this.exit({ signal: 'SIGTERM' }));
    await this.exited;
    return ask === undefined ? 'terminated' : 'asked';
  }
}
