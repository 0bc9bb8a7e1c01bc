import { sentenceOf } from '../errors.ts';
import type { Clock, Watching } from '../ports.ts';
import { Restarts } from '../process/backoff.ts';
import { type Child, type Exit, startChild } from '../process/child.ts';
import { pause } from '../process/clock.ts';
import { unlessAborted } from '../process/unless-aborted.ts';
import type { Millis } from '../units.ts';

/** A program that prints lines for as long as it lives. */
export interface MeterProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface MeterProgramOptions {
  readonly clock: Clock;
  readonly rng: () => number;
  /** How long the first line may take: a driver that has to wake up first takes seconds. */
  readonly patience: Millis;
  /** Binds the program to this process where there is no setpriv. */
  readonly python: string | undefined;
  /**
   * What to start, asked before each start; undefined ends it all in silence, because there is nothing to be read here.
   * @throws an error whose sentence says why it cannot be started now
   */
  prepare(): Promise<MeterProgram | undefined>;
  /** A whole line of its standard output. False if it was no reading: then it may be its last words. */
  onLine(line: string): boolean;
  /** Once each time that it falls silent. */
  onLost(reason: string): void;
  /** Whether it has ended for good, because there is nothing to be read here. */
  isOver(exit: Exit, lastWords: string): boolean;
}

/**
 * Keeps a program alive: it is started again, later each time, when it has ended or said nothing for five seconds. It dies
 * with this process, and one that hangs in the kernel is not joined by another.
 */
export function keepMeter(options: MeterProgramOptions): KeptMeter {
  const ending = new AbortController();
  const kept = new Keeping(options, ending.signal).run();
  return {
    over: kept,
    stop: async () => {
      ending.abort();
      await kept;
    },
  };
}

export interface KeptMeter extends Watching {
  /** Resolves when no other program will be started, stopped or not. */
  readonly over: Promise<void>;
}

const TICK_MS: Millis = 1_000;
/** Counted in ticks and not by the clock, so that a host which slept is not taken for a program that did. */
const SILENT_TICKS = 5;
/** A program that lived so long has shown that it works. */
const PROVEN_MS: Millis = 10_000;
const LINE_BYTES = 64 * 1024;
const WORDS = 200;
/** To descriptor 3, of which `child.ts` reads whole lines only: half a number would be a number. */
const SAY = 'exec "$0" "$@" >&3';

class Keeping {
  readonly #options: MeterProgramOptions;
  readonly #signal: AbortSignal;
  readonly #restarts: Restarts;
  #lost = false;

  constructor(options: MeterProgramOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#restarts = new Restarts(options.clock, options.rng);
  }

  async run(): Promise<void> {
    while (!this.#signal.aborted) {
      const reason = await this.#live().catch((error: unknown) => sentenceOf(error));
      if (reason === null || this.#signal.aborted) return;
      this.#fellSilent(reason);
      this.#restarts.failed();
      await pause(this.#options.clock, this.#restarts.remaining(), this.#signal).catch(() => {});
    }
  }

  /** Of one process, until it is gone; why it is, or null if no other is to follow. */
  async #live(): Promise<string | null> {
    const program = await unlessAborted(this.#options.prepare(), this.#signal);
    if (program === undefined || this.#signal.aborted) return null;
    const { clock, python, patience } = this.#options;
    const began = clock.monotonic();
    let strayWords = '';
    const silence = new Silence(clock, Math.ceil(patience / TICK_MS));
    const child = startChild({
      command: '/bin/sh',
      args: ['-c', SAY, program.command, ...program.args],
      clock,
      ...(program.env === undefined ? {} : { env: program.env }),
      dieWithParent: python === undefined ? {} : { python },
      channel: {
        limit: LINE_BYTES,
        onLine: (line) => {
          if (this.#signal.aborted) return;
          if (!this.#options.onLine(line)) strayWords = line.trim().slice(0, WORDS) || strayWords;
          else this.#spoke(silence, clock.monotonic() - began);
        },
        onOverlong: () => {},
      },
    });
    try {
      const reason = await this.#endOf(child, silence, () => wordsOf(strayWords, child));
      return this.#signal.aborted ? null : reason;
    } finally {
      silence.end();
      await child.stop();
    }
  }

  async #endOf(child: Child, silence: Silence, words: () => string): Promise<string | null> {
    const exited = unlessAborted(child.exited, this.#signal).catch(() => null);
    const ended = await Promise.race([exited, silence.came]);
    if (ended === null) return null;
    if (ended === 'silent') {
      this.#fellSilent('it fell silent');
      await child.stop();
      await exited;
      return 'it fell silent';
    }
    return this.#options.isOver(ended, words()) ? null : endingOf(ended, words());
  }

  #spoke(silence: Silence, age: Millis): void {
    silence.broken();
    this.#lost = false;
    if (age >= PROVEN_MS) this.#restarts.succeeded();
  }

  #fellSilent(reason: string): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#options.onLost(reason);
  }
}

/** Comes when nothing was heard for so many ticks. */
class Silence {
  readonly came: Promise<'silent'>;
  readonly #clock: Clock;
  readonly #come: () => void;
  #left: number;
  #cancel: () => void = () => {};

  constructor(clock: Clock, ticks: number) {
    const { promise, resolve } = Promise.withResolvers<'silent'>();
    this.came = promise;
    this.#come = () => resolve('silent');
    this.#clock = clock;
    this.#left = ticks;
    this.#wait();
  }

  broken(): void {
    this.#left = SILENT_TICKS;
  }

  end(): void {
    this.#cancel();
  }

  #wait(): void {
    this.#cancel = this.#clock.after(TICK_MS, () => {
      this.#left -= 1;
      if (this.#left <= 0) this.#come();
      else this.#wait();
    });
  }
}

function wordsOf(stray: string, child: Child): string {
  return child.log.last(1)[0]?.slice(0, WORDS) ?? stray;
}

function endingOf({ code, signal, error }: Exit, words: string): string {
  if (error !== null) return `it could not be started (${error})`;
  const how = signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`;
  return words === '' ? how : `${how}: ${words}`;
}
