import type { EnergyReading } from '../ports.ts';
import { unlessAborted } from '../process/unless-aborted.ts';
import { type Aborts, AbortsOfBatch } from './aborts.ts';
import { Answers, type BatchReport, isAboutBatch } from './answers.ts';
import type { Quarantine } from './breaker.ts';
import { type Outcome, only } from './conversation.ts';
import { type Death, endOfWorker } from './death.ts';
import { energyOf } from './energy.ts';
import {
  answersLoad,
  type EngineSpec,
  type LoadedEngine,
  type LoadReport,
  loadError,
  loadedEngine,
  loadOrder,
} from './engine.ts';
import { Lifecycle, type LifecycleOptions, type SupervisorState } from './lifecycle.ts';
import type { Generate, InboundOf, Order } from './messages.ts';
import { Pace } from './pace.ts';
import { afterBatch, afterLoad, NEVER, type RecycleRule, reasonToReplace, UNWORN } from './recycle.ts';

export interface SupervisorOptions extends LifecycleOptions {
  /** As the worker knows its device: it sees one card only, its own. */
  readonly address: 'cpu' | 'cuda:0';
  readonly recycle?: RecycleRule;
}

type Batch = Omit<Generate, 'type' | 'engine'>;

const DEVICE_LOST = 'device_lost';
/** A cancel takes effect between two steps; by how much one may exceed the longest that was seen. */
const STEPS_TO_HEED = 2;

/**
 * Keeps the one worker of a device: starts it when it is needed, gives it one order at a time, and replaces it when
 * it dies, hangs, talks nonsense, loses its device or is worn. After a death the next start waits, longer each time
 * until a batch is finished; after many of them in a row the device is in quarantine.
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #lifecycle: Lifecycle;
  #engine: LoadedEngine | null = null;
  #wear = UNWORN;
  /** Of the engine that was loaded last. */
  #pace: { readonly engine: string; readonly steps: Pace } | null = null;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#lifecycle = new Lifecycle(options, () => {
      this.#engine = null;
      this.#wear = UNWORN;
    });
  }

  get state(): SupervisorState {
    return this.#lifecycle.state;
  }

  /** What the worker has loaded now; null also for one that is on its way out. */
  get engine(): LoadedEngine | null {
    return this.#lifecycle.incarnation?.doomed ? null : this.#engine;
  }

  /** Of its process; undefined while there is none. */
  get pid(): number | undefined {
    return this.#lifecycle.incarnation?.pid;
  }

  /** Why nothing is started for now; null where a batch may be tried. */
  get quarantine(): Quarantine | null {
    return this.#lifecycle.quarantine;
  }

  /**
   * Has this engine loaded, whatever it takes. Returns what the load took, or null if it was there already.
   * Waits until a worker that is on its way out is gone. An abort ends the worker, because a load cannot be interrupted.
   * `onFailed` hears what a load took of which the worker lived to tell that it failed.
   * @throws InputError for a model or preset that cannot be loaded
   * @throws UnavailableError `device_quarantined`, or `worker_unavailable` where no worker has ever come up
   * @throws WorkerDied
   * @throws AppError `worker_stopped` if it was stopped meanwhile, or went between two orders
   */
  async ensureLoaded(
    spec: EngineSpec,
    { signal, onFailed }: { readonly signal?: AbortSignal; onFailed?(energy: EnergyReading): void } = {},
  ): Promise<LoadReport | null> {
    if (this.#lifecycle.incarnation?.doomed) await unlessAborted(this.#lifecycle.incarnation.ended, signal);
    this.#lifecycle.requireFree();
    signal?.throwIfAborted();
    if (this.#engine?.spec.id === spec.id) return null;
    const onAbort = () => this.#lifecycle.giveUp('was stopped while it loaded');
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      if (this.#lifecycle.incarnation === null) await this.#lifecycle.start(signal);
      return await this.#load(spec, onFailed);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Makes one batch with the engine that is loaded. If the worker dies, the items that it had answered keep their
   * answers and the others fail with `worker_died`, or with `worker_stopped` where that was not the worker's doing.
   * An abort of `signal` cancels all items that are open; one of `givenUp` cancels its job, which fails with the reason.
   * @throws the signal's reason if it left an item without an answer
   * @throws AppError `worker_stopped` if nothing is loaded, or is not any more
   * @throws OrderTooLarge
   */
  async generate(
    batch: Batch,
    options: Aborts & { onProgress?(progress: InboundOf<'progress'>): void } = {},
  ): Promise<BatchReport> {
    this.#lifecycle.requireFree();
    const { signal, givenUp, onProgress } = options;
    const { clock, limits } = this.#options;
    signal?.throwIfAborted();
    const answers = new Answers(batch.batch, batch.items, clock);
    const items = batch.items.filter(({ job }) => !leftOut(answers, job, givenUp?.get(job)));
    if (items.length === 0) return answers.reportOfNothing();
    const { incarnation } = this.#lifecycle;
    if (incarnation === null || this.#engine === null) throw this.#lifecycle.unable('has nothing loaded');
    // Whatever it dies of, it is not of this batch, which would have to answer for it.
    if (incarnation.doomed) throw this.#lifecycle.unable('is on its way out');
    const order: Order = { type: 'generate', engine: this.#engine.spec.id, ...batch, items };
    const steps = this.#paceOf(this.#engine.spec.id);
    const limit = () => Math.max(limits.cancel, STEPS_TO_HEED * steps.longest);
    const aborts = new AbortsOfBatch(incarnation, answers, { signal, givenUp, clock, limit });
    const asked = this.#lifecycle.ask<InboundOf<'done'>>('generating', order, 'encode', (message, settle) => {
      if (!isAboutBatch(message)) return `${message.type} came while batch ${batch.batch} was made`;
      const complaint = answers.take(message);
      steps.step();
      aborts.look();
      if (complaint === undefined && message.type === 'progress') onProgress?.(message);
      if (complaint === undefined && message.type === 'done') settle(message);
      return complaint;
    });
    aborts.heed();
    return this.#report(answers, await asked.finally(() => aborts.stop()), signal);
  }

  /**
   * Ends the worker and waits until it is gone. It is started anew when it is needed again. Who stops for good
   * aborts the calls under way first, or one that waits for a restart goes on to it.
   */
  stop(): Promise<void> {
    return this.#lifecycle.stop();
  }

  async #load(spec: EngineSpec, onFailed?: (energy: EnergyReading) => void): Promise<LoadReport> {
    if (this.#engine !== null) await this.#unload();
    const order = loadOrder(spec, this.#options.address);
    const outcome = await this.#lifecycle.ask<InboundOf<'loaded' | 'failure'>>(
      'loading',
      order,
      'load',
      (message, settle) => {
        if (!answersLoad(message, spec.id)) return `${message.type} came while engine ${spec.id} was loaded`;
        settle(message);
        return undefined;
      },
    );
    if ('death' in outcome) throw this.#endOf(outcome.death);
    if (outcome.value.type === 'failure') {
      if (outcome.value.energy !== null) onFailed?.(energyOf(outcome.value.energy));
      throw await this.#failedLoad(outcome.value);
    }
    this.#engine = loadedEngine(spec, outcome.value);
    this.#wear = afterLoad(this.#wear);
    const { seconds, energy, memory } = outcome.value;
    return { seconds, energy: energyOf(energy), memory };
  }

  /** Before another load, so that two models are never in memory together. */
  async #unload(): Promise<void> {
    this.#engine = null;
    const outcome = await this.#lifecycle.ask('loading', { type: 'unload' }, 'load', only('unloaded'));
    if ('death' in outcome) throw this.#endOf(outcome.death);
  }

  async #failedLoad(failure: InboundOf<'failure'>): Promise<Error> {
    const death = failure.code === DEVICE_LOST ? await this.#loseDevice() : undefined;
    return death === undefined ? loadError(failure, this.#options.device) : this.#endOf(death);
  }

  #report(answers: Answers, outcome: Outcome<InboundOf<'done'>>, signal: AbortSignal | undefined): BatchReport {
    if ('value' in outcome) this.#finished(outcome.value, answers);
    if (answers.isIncomplete) signal?.throwIfAborted();
    return 'value' in outcome ? answers.report(outcome.value) : answers.reportOfEnd(this.#endOf(outcome.death));
  }

  /** A worker that is started again with the same engine takes as long as the one before. */
  #paceOf(engine: string): Pace {
    if (this.#pace?.engine !== engine) this.#pace = { engine, steps: new Pace(this.#options.clock) };
    this.#pace.steps.begin();
    return this.#pace.steps;
  }

  #finished(done: InboundOf<'done'>, answers: Answers): void {
    if (answers.failedWith(DEVICE_LOST)) {
      void this.#loseDevice();
      return;
    }
    this.#lifecycle.finishedBatch();
    this.#wear = afterBatch(this.#wear, { pictures: answers.pictures, resident: done.memory.rss_bytes });
    const reason = reasonToReplace(this.#wear, this.#options.recycle ?? NEVER);
    if (reason === null) return;
    this.#options.onLog(`debug: the worker is replaced, because ${reason}`);
    void this.stop();
  }

  /** The process cannot use it any more; that counts as a death, or a sick card would never be left alone. */
  #loseDevice(): Promise<Death> | undefined {
    this.#lifecycle.incarnation?.condemn('lost its device');
    return this.#lifecycle.incarnation?.ended;
  }

  #endOf(death: Death) {
    return endOfWorker(this.#options.device, death);
  }
}

function leftOut(answers: Answers, job: string, own: AbortSignal | undefined): boolean {
  if (!own?.aborted) return false;
  answers.leaveOut(job, own.reason);
  return true;
}
