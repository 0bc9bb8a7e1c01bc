import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';
import type { Phase } from './messages.ts';

/** How long a worker may be quiet. */
export interface WatchLimits {
  /** Without a heartbeat while it works on pictures or waits: the interpreter hangs. */
  readonly heartbeat: Millis;
  /** As `heartbeat`, while it starts, imports, loads and compiles, which hold the interpreter's lock for long. */
  readonly heartbeatLoading: Millis;
  /** Without a step forward in a phase: it is alive and gets nowhere. `start` is until its `hello`. */
  readonly phases: Readonly<Record<WatchedPhase, Millis>>;
}
/** `idle` alone has no end. */
export type WatchedPhase = 'start' | Exclude<Phase, 'idle'>;

const LOADING: ReadonlySet<WatchedPhase | 'idle'> = new Set(['start', 'import', 'load', 'compile']);
/** Later than due by this much, the timer tells of our own event loop and not of the worker. */
const LATE_MS: Millis = 1_000;
/** What the messages that lie waiting are then given to be read. */
const GRACE_MS: Millis = 1_000;

/**
 * Two clocks: a heartbeat (is the interpreter alive?) and progress (does it get anywhere?). The same
 * step told again is no progress.
 */
export class Watchdog {
  readonly #clock: Clock;
  readonly #limits: WatchLimits;
  readonly #onExpired: (reason: string) => void;
  #phase: WatchedPhase | 'idle' = 'start';
  #lastBeat: Millis;
  #lastStep: Millis;
  #step = '';
  #due: Millis = 0;
  #stopped = false;
  #cancel: (() => void) | null = null;

  /** Watches from now on, until `stop`. */
  constructor(options: { readonly clock: Clock; readonly limits: WatchLimits; onExpired(reason: string): void }) {
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#onExpired = options.onExpired;
    this.#lastBeat = this.#lastStep = this.#clock.monotonic();
    this.#arm(this.#remaining());
  }

  /** Any message shows that the interpreter is alive. */
  beat(): void {
    this.#lastBeat = this.#clock.monotonic();
  }

  /** The worker has been given something to do, or nothing more. */
  enter(phase: WatchedPhase | 'idle'): void {
    if (phase !== this.#phase) this.step(phase, '');
  }

  /**
   * A heartbeat told of this phase. It may have been under way when the last order was given or answered, so it
   * neither ends nor begins one.
   */
  heard(phase: Phase): void {
    if (phase !== 'idle' && this.#phase !== 'idle' && this.#phase !== 'start') this.enter(phase);
  }

  /** The worker is at this step of a phase. */
  step(phase: WatchedPhase | 'idle', step: string): void {
    if (phase === this.#phase && step === this.#step) return;
    this.#phase = phase;
    this.#step = step;
    this.#lastStep = this.#clock.monotonic();
    this.#arm(this.#remaining());
  }

  /** For good: what is told afterwards winds nothing up again. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #arm(delay: Millis): void {
    this.#cancel?.();
    if (this.#stopped) return;
    this.#due = this.#clock.monotonic() + delay;
    this.#cancel = this.#clock.after(delay, () => this.#look());
  }

  #look(): void {
    const remaining = this.#remaining();
    const late = this.#clock.monotonic() - this.#due > LATE_MS;
    if (remaining > 0 || late) {
      this.#arm(remaining > 0 ? remaining : GRACE_MS);
      return;
    }
    this.stop();
    this.#onExpired(this.#reason());
  }

  #remaining(): Millis {
    const now = this.#clock.monotonic();
    return Math.min(this.#lastBeat + this.#beatLimit() - now, this.#lastStep + this.#stepLimit() - now);
  }

  #beatLimit(): Millis {
    return LOADING.has(this.#phase) ? this.#limits.heartbeatLoading : this.#limits.heartbeat;
  }

  #stepLimit(): Millis {
    return this.#phase === 'idle' ? Number.POSITIVE_INFINITY : this.#limits.phases[this.#phase];
  }

  #reason(): string {
    const silent = this.#lastBeat + this.#beatLimit() <= this.#clock.monotonic();
    if (silent) return `gave no sign of life for ${seconds(this.#beatLimit())} s in phase ${this.#phase}`;
    return `made no progress for ${seconds(this.#stepLimit())} s in phase ${this.#phase}`;
  }
}

function seconds(limit: Millis): number {
  return Math.round(limit / 100) / 10;
}
