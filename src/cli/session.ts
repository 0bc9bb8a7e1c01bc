import { hoursOfAll } from '../batch/hours.ts';
import { Timetable } from '../batch/timetable.ts';
import type { Prices } from '../cost/receipt.ts';
import { snapshotOf } from '../cost/tariff.ts';
import type { AppError } from '../errors.ts';
import { isMendable } from '../gate.ts';
import type { CheapWaits } from '../kiln-waits.ts';
import { submit, type Working, work } from '../pipeline.ts';
import type { Device, Job, Pause, Progress, Queue, RunRow } from '../ports.ts';
import { ClockSet } from '../process/clock-set.ts';
import { addMissing, interruptRun, reconcileQueue, recover } from '../recovery.ts';
import type { PlannedRun } from '../submission.ts';
import type { EpochMillis } from '../units.ts';
import type { App, Interrupts } from './app.ts';
import { waitsOf } from './cheap.ts';
import { counted } from './figures.ts';
import { asClient, onceItCan } from './patience.ts';
import { Pauses } from './pauses.ts';
import { isServed } from './standstill.ts';

export interface SessionOptions {
  readonly app: App;
  readonly prices: Prices;
  readonly interrupts: Pick<Interrupts, 'count'>;
  onProgress(progress: Progress): void;
  /** A sentence that the user should read. */
  onNote(text: string): void;
  /** Nothing is made until the user, or the clock, says so. */
  onPaused(pause: Pause): void;
  onResumed(): void;
  /** Jobs of a run that this process works off wait for cheap electricity, and come again then. */
  onWaiting?(runId: string, until: EpochMillis): void;
  /** Works off every run, and not only its own and those of attached clients. */
  readonly serves?: boolean;
}

/**
 * One command's part in the data folder. Exactly one process owns it: it runs the queue server and
 * works. The others attach: they submit and follow, and the next of them takes over when the owner leaves.
 */
export class Session {
  readonly #options: SessionOptions;
  #recovered = false;
  #queue: Queue | null = null;
  #working: Working | null = null;
  #stopped: Promise<void> | null = null;
  /** Of the provider, once this process works. */
  #devices: readonly Device[] = [];
  #fatal: AppError | null = null;
  #cutOff: readonly RunRow[] = [];
  /** At the last look nothing was being made. */
  #wasIdle = false;
  /** What others wrote up to here has been heeded. */
  #heeded = 0;
  readonly #pauses: Pauses;
  /** Which jobs wait for cheap electricity, if this process makes them. */
  readonly waits: CheapWaits;
  readonly #clockSet: ClockSet;
  /** The hours of all devices, where they are the same; those of each are known to whoever works. */
  readonly #hours: Timetable;
  #restTold = false;
  /** Jobs were submitted that are not in the queue yet. */
  #unsent = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { app, prices, onNote, onPaused, onResumed } = options;
    const resumed = (): void => {
      onNote('Going on.');
      onResumed();
    };
    this.#hours = new Timetable(hoursOfAll(app.loaded.config.hours));
    this.waits = waitsOf(app, { tariff: prices.tariff, devices: () => this.#devices, tell: onNote });
    this.#clockSet = new ClockSet(app.clock);
    this.#pauses = new Pauses({ clock: app.clock, onPaused, onResumed: resumed });
  }

  /** Whether this process makes the pictures. */
  get works(): boolean {
    return this.#working !== null;
  }

  /** What stopped the work for good, if anything did. */
  get fatal(): AppError | null {
    return this.#fatal ?? this.#options.app.broken;
  }

  /** Whether no device is to be used at this hour. */
  get rests(): boolean {
    const { app } = this.#options;
    if (this.#devices.length === 0) return this.#hours.restsFor(app.clock.now()) > 0;
    return this.#devices.every(({ id }) => app.restsFor(id) > 0);
  }

  /** Runs whose process had died when this one became the owner. */
  get cutOff(): readonly RunRow[] {
    return this.#cutOff;
  }

  /** Tries to become the owner; as such puts the store right after a dead one. Needs neither queue nor Python. */
  async enter(): Promise<boolean> {
    const { app, onNote } = this.#options;
    if (!app.own()) return false;
    if (this.#recovered) return true;
    const { clock, images, isAlive, launch } = app;
    const store = await app.store();
    await store.setOwner({ launch, serves: this.#serves });
    const recovered = await recover({ clock, images, isAlive, store });
    // Not before: what could not be put right for a full disk is put right by the next try.
    this.#recovered = true;
    // A queue reached as a client was the last owner's.
    this.#queue = null;
    this.#cutOff = recovered.interrupted;
    if (recovered.adopted > 0)
      onNote(`taken into the ledger: ${counted(recovered.adopted, 'finished picture')} of a cut-off run`);
    return true;
  }

  /** Looks whether the queue, and for an owner the devices, are to be had, before anything is written. */
  async ready(): Promise<void> {
    if (await this.enter()) await this.#options.app.provider();
    await this.#reachQueue();
  }

  /** Submits, and works if this process is the owner. */
  async start(planned: PlannedRun): Promise<void> {
    const { app } = this.#options;
    await submit(
      {
        store: await app.store(),
        launch: app.launch,
        served: await isServed(app),
        enqueue: (jobs) => this.#enqueue(jobs),
        fault: (point) => app.fault(point),
      },
      planned,
    );
    await this.takeOver();
  }

  /** Begins to work if this process is the owner, for example because the last one has left. */
  async takeOver(): Promise<void> {
    if (this.works || !(await this.enter())) return;
    const queue = await this.#reachQueue();
    const news = await (await this.#options.app.store()).news(Number.MAX_SAFE_INTEGER);
    this.#heeded = news.sequence;
    this.#working = await this.#work(queue);
    this.#pauses.heed(this.#working, news.pause);
  }

  /** One quick look at what others wrote for whoever works: what is cancelled, submitted, paused. Several times a second. */
  async attend(): Promise<void> {
    const working = this.#working;
    this.#tellRest();
    const store = await this.#options.app.store();
    await onceItCan(async () => {
      const news = await store.news(working === null ? Number.MAX_SAFE_INTEGER : this.#heeded);
      const { pause: said } = news;
      const over = this.#pauses.heed(working, said);
      if (working === null) return;
      this.#heeded = news.sequence;
      this.#unsent ||= news.submitted && this.#serves;
      working.withdraw(news.withdrawn);
      if (over && said !== null) await onceItCan(() => store.endPause(said));
      await onceItCan(async () => this.#queue?.remove(news.withdrawn));
      if (this.#unsent) await this.#send();
    });
    working?.look();
  }

  /**
   * To be called now and then. Becomes the owner where the last one has left; as such looks after a queue that hands
   * nothing out although there is work.
   */
  async tend(): Promise<void> {
    if (this.#working === null) return this.#takeOverOnceItCan();
    await this.#heedClock();
    const idle = !this.#working.busy;
    const looksAgain = idle && this.#wasIdle;
    this.#wasIdle = idle;
    if (!looksAgain || this.#queue === null) return;
    await onceItCan(() => this.#send());
  }

  /**
   * Finishes the running batches, hands back the rest, and takes runs out that nobody waits for any more. Whoever has
   * begun to work must come here, whatever happens: the queue waits for what is in hand. May be called twice.
   */
  async stop(): Promise<void> {
    if (this.#working === null) return;
    this.#stopped ??= this.#stop(this.#working);
    await this.#stopped;
  }

  /**
   * Takes what is left of a run out of store and queue, if that launch still holds it.
   * @param jobIds as in `Store.interrupt`
   */
  async interrupt(run: Pick<RunRow, 'id' | 'launch'>, jobIds?: readonly string[]): Promise<number> {
    return interruptRun({ store: await this.#options.app.store(), queue: this.#queue }, run, jobIds);
  }

  /** A queue or a device that is not to be had is a reason to end; a disk is waited for. */
  async #takeOverOnceItCan(): Promise<void> {
    try {
      await this.takeOver();
    } catch (error) {
      if (!isMendable(error)) throw error;
    }
  }

  async #stop(working: Working): Promise<void> {
    await working.stop();
    const { app } = this.#options;
    const open = await (await app.store()).openRuns();
    for (const run of open) if (!run.served && !app.isAlive(run.launch)) await this.interrupt(run);
  }

  get #serves(): boolean {
    return this.#options.serves === true;
  }

  /** An hour at which nothing is made looks like a kilnwatt that does nothing. */
  #tellRest(): void {
    const { rests } = this;
    if (rests === this.#restTold) return;
    this.#restTold = rests;
    this.#options.onNote(rests ? 'Outside of the hours: nothing is begun now.' : 'The hours have begun: going on.');
  }

  /** The queue holds times of the clock as it was. */
  async #heedClock(): Promise<void> {
    const queue = this.#queue;
    if (queue === null || !this.#clockSet.wasSetBack) return;
    if (await onceItCan(() => queue.promote())) this.#clockSet.heeded();
  }

  /** Puts what the store calls open into the queue. */
  async #send(): Promise<void> {
    const { app, onNote } = this.#options;
    if (this.#queue === null) return;
    const { isAlive } = app;
    const lost = await addMissing({ store: await app.store(), queue: this.#queue, isAlive, serves: this.#serves });
    this.#unsent = false;
    if (lost > 0) onNote(`The queue had lost ${counted(lost, 'job')}; back from the database.`);
  }

  async #enqueue(jobs: readonly Job[]): Promise<void> {
    await this.#patiently(async () => (await this.#reachQueue()).add(jobs));
  }

  async #reachQueue(): Promise<Queue> {
    return this.#queue ?? this.#patiently(() => this.#openQueue());
  }

  /** The queue, as owner or as client. A new owner makes it say what the store says before anyone relies on it. */
  async #openQueue(): Promise<Queue> {
    const { app } = this.#options;
    const owner = await this.enter();
    const queue = await app.queue(owner ? 'owner' : 'client');
    if (owner) {
      await reconcileQueue({ queue, isAlive: app.isAlive, serves: this.#serves, store: await app.store() });
    }
    this.#queue = queue;
    return queue;
  }

  async #patiently<T>(attempt: () => Promise<T>): Promise<T> {
    const { app, interrupts, onNote } = this.#options;
    return asClient(attempt, {
      clock: app.clock,
      interrupts,
      ownServer: app.loaded.config.redisUrl === null,
      owns: () => this.#recovered,
      onNote,
      onRetry: () => {
        this.#queue = null;
      },
    });
  }

  async #work(queue: Queue): Promise<Working> {
    const { app, prices, onProgress, onNote, onWaiting } = this.#options;
    const { clock, images, launch, software } = app;
    const { limits } = app.loaded.config;
    const provider = await app.provider();
    this.#devices = provider.devices;
    this.waits.begin();
    const store = await app.store();
    // Before anything is priced: entries name it by its id.
    await store.keepPrice(snapshotOf(prices.tariff, clock.now()));
    return work({
      clock,
      images,
      launch,
      software,
      queue,
      prices,
      store,
      provider,
      books: await app.books(),
      texts: app.loaded.config.metadata,
      fault: (point) => app.fault(point),
      onFatal: (error) => {
        this.#fatal ??= error;
      },
      jobLimit: limits.jobSeconds === null ? null : limits.jobSeconds * 1000,
      stopLimit: limits.stopSeconds * 1000,
      requireRoom: () => app.requireRoom(),
      restsFor: (device) => app.restsFor(device),
      waitsUntil: (job) => this.waits.until(job),
      onWaiting: (runId, until) => onWaiting?.(runId, until),
      onProgress,
      onTrouble: onNote,
      onNote,
    });
  }
}
