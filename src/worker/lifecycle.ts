import { AppError, UnavailableError } from '../errors.ts';
import type { Clock } from '../ports.ts';
import { type Child, type ChildSpec, startChild } from '../process/child.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { BREAKER, type BreakerRule, type Quarantine } from './breaker.ts';
import { Conversation, type Listener, type Outcome, only } from './conversation.ts';
import { type Death, endOfWorker, workerUnavailable } from './death.ts';
import { Incarnation, type WorkerCommand } from './incarnation.ts';
import type { WorkerLimits } from './limits.ts';
import type { Order } from './messages.ts';
import { Standing } from './standing.ts';
import type { WatchedPhase } from './watchdog.ts';

/**
 * `down` no process → (`waiting` for the end of the back-off →) `starting` until its hello → `ready` for an order ⇄
 * `loading` or `generating`. From each of them a death leads to `down`; a stop leads there by way of `stopping`. The
 * last of many deaths in a row leads to `quarantined`, in which nothing is started, and from there time leads to `down`.
 */
export type SupervisorState =
  | 'down'
  | 'waiting'
  | 'starting'
  | 'ready'
  | 'loading'
  | 'generating'
  | 'stopping'
  | 'quarantined';

export interface LifecycleOptions {
  /** As users and logs know it. */
  readonly device: string;
  readonly worker: WorkerCommand;
  /** Launch ids of the worker begin with this. */
  readonly launch: string;
  readonly clock: Clock;
  readonly limits: WorkerLimits;
  readonly breaker?: BreakerRule;
  /** Without an order for this long the worker is ended, since it holds memory and keeps a card awake; null: never. */
  readonly idleUnload?: Millis | null;
  /** 0 … 1, for the jitter of restarts. */
  rng(): number;
  /** Another world for the worker to live in. */
  startChild?(spec: ChildSpec): Child;
  onLog(line: string): void;
  onState?(state: SupervisorState): void;
}

/** The owner of the one process of a device, of its state, and of what befell its predecessors. */
export class Lifecycle {
  readonly #options: LifecycleOptions;
  readonly #onGone: () => void;
  readonly #conversation: Conversation;
  readonly #standing: Standing;
  #state: SupervisorState = 'down';
  #incarnation: Incarnation | null = null;
  #launches = 0;
  /** Some process has said hello, so the installation is fit. */
  #everUp = false;
  /** Starts in a row that failed by themselves while none had come up. */
  #misfires = 0;
  /** Takes away the timer of the state. */
  #disarm = () => {};

  /** @param onGone called as soon as a process is gone, before whoever waits for its answer learns of it */
  constructor(options: LifecycleOptions, onGone: () => void) {
    const { clock, rng, breaker = BREAKER } = options;
    this.#options = options;
    this.#onGone = onGone;
    this.#standing = new Standing({ clock, rng, rule: breaker });
    this.#conversation = new Conversation((line) => options.onLog(line));
  }

  get state(): SupervisorState {
    return this.#state;
  }

  get incarnation(): Incarnation | null {
    return this.#incarnation;
  }

  get quarantine(): Quarantine | null {
    return this.#standing.quarantine;
  }

  /**
   * @throws UnavailableError `device_quarantined`
   * @throws Error for a call while another is under way: a mistake of the caller's, which no user can mend
   */
  requireFree(): void {
    const { quarantine } = this;
    if (quarantine !== null) {
      const until = new Date(quarantine.until).toISOString();
      const message = `${this.#options.device} is in quarantine until ${until}: ${quarantine.reason}`;
      throw new UnavailableError(message, { code: 'device_quarantined', retryable: true });
    }
    if (this.#state === 'quarantined') this.#become('down');
    if (this.#state !== 'down' && this.#state !== 'ready') {
      throw new Error(`the worker on ${this.#options.device} is ${this.#state}`);
    }
  }

  /** Waits for the back-off, starts a process and waits for its hello. The very first one may fail once. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      const death = await this.#tryStart(signal);
      if (death === null) return;
      this.#misfires = this.#isMisfire(death) ? this.#misfires + 1 : 0;
      // Another call may have waited for the end of this process, and begun to start the next one.
      const isFree = this.#state === 'down';
      if (this.#misfires !== 1 || !isFree) throw this.#failedStart(death);
      this.#options.onLog(`debug: ${endOfWorker(this.#options.device, death).message}; it is tried once more`);
    }
  }

  /** Gives an order, or with null waits for what comes of itself; the state holds until then. */
  async ask<Value>(
    state: 'starting' | 'loading' | 'generating',
    order: Order | null,
    phase: WatchedPhase,
    listener: Listener<Value>,
  ): Promise<Outcome<Value>> {
    const incarnation = this.#incarnation;
    if (incarnation === null) throw this.unable('is gone');
    this.#become(state);
    try {
      return await this.#conversation.ask(incarnation, order, phase, listener);
    } finally {
      // After a death whoever waited for it may have started another one already.
      if (this.#incarnation === incarnation && this.#state === state) this.#become('ready');
    }
  }

  /** Resolves when the process is gone, and at once where there is none. */
  async stop(): Promise<void> {
    if (this.#incarnation === null) return;
    this.#become('stopping');
    await this.#incarnation.stop();
  }

  /** Ends the process without asking it, although it did nothing wrong. The reason follows the name of the worker. */
  giveUp(reason: string): void {
    if (this.#incarnation === null || this.#incarnation.doomed) return;
    this.#become('stopping');
    this.#incarnation.condemn(reason, true);
  }

  /** It has shown that it works: what befell its predecessors is forgotten. */
  finishedBatch(): void {
    this.#standing.finishedBatch();
  }

  /** For an order that it could not be given: nothing was begun, so nothing was harmed. */
  unable(why: string): AppError {
    return new AppError(`the worker on ${this.#options.device} ${why}`, { code: 'worker_stopped', retryable: true });
  }

  #launch(): Incarnation {
    const { worker, clock, limits, launch, device } = this.#options;
    this.#launches += 1;
    return new Incarnation({
      worker,
      clock,
      limits,
      launch: `${launch}-${device}-${this.#launches}`,
      startChild: this.#options.startChild ?? startChild,
      onLog: (line) => this.#options.onLog(line),
      onMessage: (message) => this.#conversation.receive(message),
    });
  }

  /** Returns how it died before its hello; null for one that is up. */
  async #tryStart(signal: AbortSignal | undefined): Promise<Death | null> {
    if (this.#standing.wait > 0) await this.#backOff(signal);
    const incarnation = this.#launch();
    this.#incarnation = incarnation;
    void incarnation.ended.then((death) => this.#bury(death));
    const outcome = await this.ask('starting', null, 'start', only('hello'));
    if ('death' in outcome) return outcome.death;
    this.#everUp = true;
    return null;
  }

  async #backOff(signal: AbortSignal | undefined): Promise<void> {
    this.#become('waiting');
    try {
      await pause(this.#options.clock, this.#standing.wait, signal);
    } finally {
      this.#become('down');
    }
  }

  /** A start that fails where others came up, or was killed, is like any death; where none ever came up, Python is at fault. */
  #isMisfire(death: Death): boolean {
    const wasKilled = death.condemned === null && death.exit.signal !== null;
    return !this.#everUp && !death.deliberate && !wasKilled;
  }

  #failedStart(death: Death): Error {
    const { device, worker } = this.#options;
    return this.#isMisfire(death) && this.#misfires > 1
      ? workerUnavailable(device, worker.command, death)
      : endOfWorker(device, death);
  }

  #bury(death: Death): void {
    this.#incarnation = null;
    this.#onGone();
    if (!death.deliberate) this.#standing.died(endOfWorker(this.#options.device, death).message);
    this.#become(this.quarantine === null ? 'down' : 'quarantined');
    this.#conversation.lost(death);
  }

  #become(state: SupervisorState): void {
    if (state === this.#state) return;
    this.#disarm();
    this.#state = state;
    this.#disarm = this.#arm();
    this.#options.onState?.(state);
  }

  /** A state that time ends. */
  #arm(): () => void {
    const { clock, idleUnload = null } = this.#options;
    if (this.#state === 'ready' && idleUnload !== null) return clock.after(idleUnload, () => this.#endIdle(idleUnload));
    if (this.#state !== 'quarantined') return () => {};
    return clock.after(this.#standing.quarantineLeft, () => this.#release());
  }

  #endIdle(idle: Millis): void {
    this.#options.onLog(`debug: the worker is ended after ${Math.round(idle / 1_000)} s without an order`);
    void this.stop();
  }

  /** A timer may be early by a fraction of a millisecond. */
  #release(): void {
    if (this.quarantine === null) this.#become('down');
    else this.#disarm = this.#arm();
  }
}
