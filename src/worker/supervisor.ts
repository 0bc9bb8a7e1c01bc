import type { Clock } from '../ports.ts';
import { Restarts } from '../process/backoff.ts';
import { pause } from '../process/clock.ts';
import { Answers, type BatchReport, isAboutBatch } from './answers.ts';
import { cancelOnAbort } from './cancel-on-abort.ts';
import { Conversation, type Listener, type Outcome, only } from './conversation.ts';
import { type Death, workerDied, workerUnavailable } from './death.ts';
import {
  answersLoad,
  type EngineSpec,
  type LoadedEngine,
  type LoadReport,
  loadError,
  loadedEngine,
  loadOrder,
} from './engine.ts';
import { Incarnation, type WorkerCommand } from './incarnation.ts';
import type { WorkerLimits } from './limits.ts';
import type { Generate, InboundOf, Order } from './messages.ts';
import type { WatchedPhase } from './watchdog.ts';

/**
 * `down` no process → (`waiting` for the end of the back-off →) `starting` until its hello → `ready` for an order ⇄
 * `loading` or `generating`. From each of them a death leads to `down`; a stop leads there by way of `stopping`.
 */
export type SupervisorState = 'down' | 'waiting' | 'starting' | 'ready' | 'loading' | 'generating' | 'stopping';

export interface SupervisorOptions {
  /** As users and logs know it. */
  readonly device: string;
  /** As the worker knows it: it sees one card only, its own. */
  readonly address: 'cpu' | 'cuda:0';
  readonly worker: WorkerCommand;
  /** Launch ids of the worker begin with this. */
  readonly launch: string;
  readonly clock: Clock;
  readonly limits: WorkerLimits;
  /** 0 … 1, for the jitter of restarts. */
  rng(): number;
  onLog(line: string): void;
  onState?(state: SupervisorState): void;
}

/**
 * Keeps the one worker of a device: starts it when it is needed, gives it one order at a time, and replaces it
 * when it dies, hangs or talks nonsense. After a death the next start waits, longer each time until a batch is finished.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #conversation: Conversation;
  readonly #restarts: Restarts;
  #state: SupervisorState = 'down';
  #incarnation: Incarnation | null = null;
  #engine: LoadedEngine | null = null;
  #launches = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#restarts = new Restarts(options.clock, options.rng);
    this.#conversation = new Conversation((line) => options.onLog(line));
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** What the worker has loaded now. */
  get engine(): LoadedEngine | null {
    return this.#engine;
  }

  /**
   * Has this engine loaded, whatever it takes. Returns what the load took, or null if it was there already.
   * An abort ends the worker, because a load cannot be interrupted.
   * @throws InputError for a model or preset that cannot be loaded
   * @throws UnavailableError `worker_unavailable` when no worker comes up
   * @throws WorkerDied
   */
  async ensureLoaded(spec: EngineSpec, { signal }: { readonly signal?: AbortSignal } = {}): Promise<LoadReport | null> {
    this.#refuseIfBusy();
    signal?.throwIfAborted();
    if (this.#incarnation?.doomed) await this.#incarnation.ended;
    if (this.#engine?.spec.id === spec.id) return null;
    const onAbort = () => this.#incarnation?.condemn('was stopped while it loaded', true);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      if (this.#incarnation === null) await this.#start(signal);
      return await this.#load(spec);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Makes one batch with the engine that is loaded. If the worker dies, the items that it had answered keep their
   * answers and the others fail with `worker_died`. An abort cancels the items that are open.
   * @throws the signal's reason if it left an item without an answer
   * @throws RangeError for an order that does not fit into a message
   */
  async generate(
    batch: Omit<Generate, 'type' | 'engine'>,
    options: { readonly signal?: AbortSignal; onProgress?(progress: InboundOf<'progress'>): void } = {},
  ): Promise<BatchReport> {
    this.#refuseIfBusy();
    const { signal, onProgress } = options;
    signal?.throwIfAborted();
    if (this.#incarnation === null || this.#engine === null) throw this.#misuse('has nothing loaded');
    const answers = new Answers(batch.batch, batch.items, this.#options.clock);
    const order: Order = { type: 'generate', engine: this.#engine.spec.id, ...batch };
    const { clock, limits } = this.#options;
    const stopListening = cancelOnAbort(this.#incarnation, answers, { signal, clock, limit: limits.cancel });
    const outcome = await this.#ask<InboundOf<'done'>>('generating', order, 'encode', (message, settle) => {
      if (!isAboutBatch(message)) return `${message.type} came while batch ${batch.batch} was made`;
      const complaint = answers.take(message);
      if (complaint === undefined && message.type === 'progress') onProgress?.(message);
      if (complaint === undefined && message.type === 'done') settle(message);
      return complaint;
    }).finally(stopListening);
    return this.#report(answers, outcome, signal);
  }

  /**
   * Ends the worker and waits until it is gone. It is started anew when it is needed again. Who stops for good
   * aborts the calls under way first, or one that waits for a restart goes on to it.
   */
  async stop(): Promise<void> {
    if (this.#incarnation === null) return;
    this.#become('stopping');
    await this.#incarnation.stop();
  }

  async #start(signal: AbortSignal | undefined): Promise<void> {
    const { clock, worker, device, limits } = this.#options;
    if (this.#restarts.remaining() > 0) await this.#backOff(signal);
    this.#launches += 1;
    const incarnation = new Incarnation({
      worker,
      clock,
      limits,
      launch: `${this.#options.launch}-${device}-${this.#launches}`,
      onLog: (line) => this.#options.onLog(line),
      onMessage: (message) => this.#conversation.receive(message),
    });
    this.#incarnation = incarnation;
    void incarnation.ended.then((death) => this.#bury(death));
    const outcome = await this.#ask('starting', null, 'start', only('hello'));
    if ('death' in outcome) throw workerUnavailable(device, worker.command, outcome.death);
  }

  async #backOff(signal: AbortSignal | undefined): Promise<void> {
    this.#become('waiting');
    try {
      await pause(this.#options.clock, this.#restarts.remaining(), signal);
    } finally {
      this.#become('down');
    }
  }

  async #load(spec: EngineSpec): Promise<LoadReport> {
    const { device, address } = this.#options;
    if (this.#engine !== null) await this.#unload();
    const outcome = await this.#ask<InboundOf<'loaded' | 'failure'>>(
      'loading',
      loadOrder(spec, address),
      'load',
      (message, settle) => {
        if (!answersLoad(message, spec.id)) return `${message.type} came while engine ${spec.id} was loaded`;
        settle(message);
        return undefined;
      },
    );
    if ('death' in outcome) throw workerDied(device, outcome.death);
    if (outcome.value.type === 'failure') throw loadError(outcome.value, device);
    this.#engine = loadedEngine(spec, outcome.value);
    return { seconds: outcome.value.seconds, energy: outcome.value.energy };
  }

  /** Before another load, so that two models are never in memory together. */
  async #unload(): Promise<void> {
    this.#engine = null;
    const outcome = await this.#ask('loading', { type: 'unload' }, 'load', only('unloaded'));
    if ('death' in outcome) throw workerDied(this.#options.device, outcome.death);
  }

  async #ask<Value>(
    state: SupervisorState,
    order: Order | null,
    phase: WatchedPhase,
    listener: Listener<Value>,
  ): Promise<Outcome<Value>> {
    if (this.#incarnation === null) throw this.#misuse('has no process to give an order to');
    this.#become(state);
    try {
      return await this.#conversation.ask(this.#incarnation, order, phase, listener);
    } finally {
      if (this.#state === state) this.#become('ready');
    }
  }

  #bury(death: Death): void {
    this.#incarnation = null;
    this.#engine = null;
    if (!death.deliberate) this.#restarts.failed();
    this.#become('down');
    this.#conversation.lost(death);
  }

  #report(answers: Answers, outcome: Outcome<InboundOf<'done'>>, signal: AbortSignal | undefined): BatchReport {
    const { device } = this.#options;
    if ('value' in outcome) {
      this.#restarts.succeeded();
      if (answers.anyCancelled) signal?.throwIfAborted();
      return answers.report(outcome.value);
    }
    if (answers.open.length > 0) signal?.throwIfAborted();
    return answers.reportOfDeath(workerDied(device, outcome.death).message);
  }

  #refuseIfBusy(): void {
    if (this.#state !== 'down' && this.#state !== 'ready') throw this.#misuse(`is ${this.#state}`);
  }

  /** A mistake of the caller's, which no user can mend. */
  #misuse(why: string): Error {
    return new Error(`the worker on ${this.#options.device} ${why}`);
  }

  #become(state: SupervisorState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#options.onState?.(state);
  }
}
