import { Batcher } from './batch/batcher.ts';
import { BlackStreak, type Light } from './batch/black-streak.ts';
import { batchKey } from './batch/key.ts';
import { isSuspect, type Marks } from './batch/marks.ts';
import { AppError, HandedBack, sentenceOf, UnavailableError } from './errors.ts';
import type { Gate } from './gate.ts';
import type { Delivery, Job } from './ports.ts';
import { pause } from './process/clock.ts';
import { type Passenger, type PassengersInHand, type TripParts, workOff } from './trip.ts';
import { givingUp, type Outcome } from './trip-outcome.ts';
import type { EpochMillis, Millis } from './units.ts';

export interface KilnOptions extends TripParts {
  readonly launch: string;
  readonly gate: Gate;
  /** How long a device is not to be used, because its owner wants it for something else; 0 while it may be. */
  restsFor(device: string): Millis;
  /** When a job may be made that is to wait for cheaper electricity; null: now. Asked many times a second. */
  waitsUntil(job: Job): EpochMillis | null;
  /** A job of the run was handed back until then; told once, until the time is another. */
  onWaiting?(runId: string, until: EpochMillis): void;
  onWindow?(window: number): void;
  /** Work cannot go on (no Python, a broken store); the jobs in hand went back to the queue. The first one told is the reason. */
  onFatal(error: AppError): void;
}

/** All jobs in hand, from the queue to the end of their trip. One batch a device at a time. */
export class Kiln {
  readonly #options: KilnOptions;
  readonly #batcher: Batcher<Passenger>;
  readonly #blacks = new BlackStreak();
  readonly #inHand = new Map<string, Passenger>();
  /** By device, what its batch holds. */
  readonly #underWay = new Map<string, readonly Passenger[]>();
  readonly #told = new Map<string, number>();
  /** By run, until when its jobs were handed back last. */
  readonly #waiting = new Map<string, EpochMillis>();
  /** Devices whose worker could not be had at all; until when, by the monotonic clock, they are left alone. */
  readonly #unavailable = new Map<string, Millis>();
  #batches = 0;
  /** A worker has come so far as to work on a batch: Python, model and device are there. */
  #anyBegun = false;
  #closed = false;

  constructor(options: KilnOptions) {
    this.#options = options;
    const { provider, clock, onWindow } = options;
    this.#batcher = new Batcher<Passenger>({
      timer: clock,
      devices: provider.devices.map((device) => device.id),
      keyOf,
      modelOf: ({ job }) => job.request.modelHash,
      rankOf: ({ job, marks }) => (job.priority === 'interactive' ? 0 : 2) + (isSuspect(marks) ? 1 : 0),
      limit: ({ job, marks }, device) => provider.limit(job, device, marks.blacks > 0),
      resident: (device) => provider.resident(device),
      closedFor: (device) => this.#closedFor(device),
      ...(onWindow === undefined ? {} : { onWindow }),
      run: (passengers, key, device) => this.#run(passengers, key, device),
    });
  }

  get window(): number {
    return this.#batcher.window;
  }

  get busy(): boolean {
    return this.#underWay.size > 0;
  }

  /** Resolves when the job is settled in the store; rejects as {@link JobHandler} promises. */
  async take(job: Job, { signal, behind }: Delivery): Promise<void> {
    if (this.#closed) throw new HandedBack();
    const later = this.#waitOf(job);
    if (later !== null) throw later;
    const passenger = { job, marks: await this.#marksOf(job), giveUp: new AbortController() };
    if (isSuspect(passenger.marks) && !behind) throw new HandedBack({ behind: true });
    const either = AbortSignal.any([signal, passenger.giveUp.signal]);
    this.#inHand.set(job.id, passenger);
    try {
      if (await this.#options.folders.isOpen(job.target)) return await this.#batcher.submit(passenger, either);
      // Others go first, whose folders take pictures; after a while it comes again.
      await pause(this.#options.clock, STAND_BACK_MS, passenger.giveUp.signal);
      throw new HandedBack({ behind: true });
    } finally {
      this.#inHand.delete(job.id);
    }
  }

  /** Gives everything back that has not begun. */
  release(): void {
    this.#batcher.release(new HandedBack());
  }

  /** From now on every job that comes is handed back. */
  close(): void {
    this.#closed = true;
  }

  /** The batches under way stop at their next step, and their jobs wait again. */
  giveUp(code: 'paused' | 'stopped'): void {
    const reason = givingUp(code, code === 'paused' ? 'the user paused the work' : 'kilnwatt was stopped');
    for (const { giveUp } of [...this.#underWay.values()].flat()) giveUp.abort(reason);
  }

  withdraw(jobIds: readonly string[]): void {
    const reason = givingUp('cancelled', 'it was cancelled');
    for (const id of jobIds) this.#inHand.get(id)?.giveUp.abort(reason);
  }

  /** Frees every device that has no batch; the others are freed when theirs has ended, if they are closed then. */
  rest(): void {
    for (const { id } of this.#options.provider.devices) if (!this.#underWay.has(id)) this.#rest(id);
  }

  /** To be called now and then: hours and cheap times begin and end, and devices come back. */
  look(): void {
    const { provider, restsFor, clock } = this.#options;
    this.#sendBackWaiting();
    for (const [runId, until] of this.#waiting) if (clock.now() >= until) this.#waiting.delete(runId);
    for (const { id } of provider.devices) {
      if (!this.#underWay.has(id) && restsFor(id) > 0 && provider.resident(id) !== null) this.#rest(id);
    }
    this.#batcher.look();
  }

  /** What has not begun, and is to wait from now on. */
  #sendBackWaiting(): void {
    const begun = new Set([...this.#underWay.values()].flat());
    for (const passenger of this.#inHand.values()) {
      const later = begun.has(passenger) ? null : this.#waitOf(passenger.job);
      if (later !== null) passenger.giveUp.abort(later);
    }
  }

  #waitOf(job: Job): HandedBack | null {
    const until = this.#options.waitsUntil(job);
    if (until === null) return null;
    if (this.#waiting.get(job.runId) !== until) this.#options.onWaiting?.(job.runId, until);
    this.#waiting.set(job.runId, until);
    return new HandedBack({ until });
  }

  /** A store that cannot tell is no reason to drop the job. */
  async #marksOf(job: Job): Promise<Marks> {
    const { disk, store, onFatal } = this.#options;
    try {
      return await disk.untilTaken(() => store.marks(job.id));
    } catch (error) {
      if (!(error instanceof HandedBack)) onFatal(fatalOf(error));
      throw new HandedBack();
    }
  }

  async #run(passengers: readonly Passenger[], key: string, device: string): Promise<readonly (Error | undefined)[]> {
    this.#batches += 1;
    const hand = { id: `${this.#options.launch}-${this.#batches}`, key, device, passengers };
    this.#underWay.set(device, passengers);
    try {
      const { answers, outcomes } = await workOff(this.#options, hand);
      // It is settled: what goes wrong from here on changes nothing about these jobs.
      await this.#learnFrom(hand, outcomes).catch((error: unknown) => this.#options.onFatal(fatalOf(error)));
      return answers;
    } catch (error) {
      await this.#handBack(passengers);
      if (!(error instanceof HandedBack) && !this.#isOfOneDevice(device, error)) this.#options.onFatal(fatalOf(error));
      return passengers.map((passenger) => (isCancelled(passenger) ? undefined : new HandedBack()));
    } finally {
      this.#underWay.delete(device);
      if (this.#isToRest(device)) this.#rest(device);
    }
  }

  /** Its owner wants it for something else; one that only waits for a disk or a server keeps its model. */
  #isToRest(device: string): boolean {
    return this.#options.gate.isShutFor('paused') || this.#options.restsFor(device) > 0;
  }

  /** Whether the others can go on: a card that does not come up stops nobody but itself, unless none does. */
  #isOfOneDevice(device: string, error: unknown): error is UnavailableError {
    const { provider, clock, onTrouble } = this.#options;
    if (!(error instanceof UnavailableError)) return false;
    // It may have been put into quarantine between the look at it and the batch.
    if (error.code === 'device_quarantined') return true;
    this.#unavailable.set(device, clock.monotonic() + UNAVAILABLE_MS);
    if (!this.#anyBegun && provider.devices.every(({ id }) => this.#unavailable.has(id))) return false;
    onTrouble(`${device} is left alone for ${UNAVAILABLE_MS / 60_000} minutes: ${error.message}`);
    return true;
  }

  async #learnFrom({ device, passengers }: PassengersInHand, outcomes: readonly Outcome[]): Promise<void> {
    const begun = outcomes.some((outcome) => outcome.state === 'done' || !BEFORE_THE_BATCH.has(outcome.answer.code));
    this.#anyBegun ||= begun;
    if (begun) this.#unavailable.delete(device);
    this.#tellQuarantine(device, outcomes);
    const aboard = new Map(passengers.map((passenger) => [passenger.job.id, passenger]));
    for (const outcome of outcomes) {
      const passenger = aboard.get(outcome.id);
      const light = passenger === undefined ? null : lightOf(outcome, passenger);
      if (passenger !== undefined && light !== null && this.#blacks.note(passenger.job.runId, light))
        await this.#hold(passenger.job.runId);
    }
  }

  async #hold(runId: string): Promise<void> {
    const reason = 'three pictures in a row stayed black, also with the VAE in float32';
    // From here on the store refuses its other jobs, and whoever follows it finds out there.
    const { disk, store } = this.#options;
    await disk
      .untilTaken(() => store.hold(runId, reason))
      .catch((error: unknown) => {
        // A stop came first: the next three hold it.
        if (!(error instanceof HandedBack)) throw error;
      });
  }

  /** Where no batch was ever begun and no device is left, it is not the pictures, and waiting mends nothing. */
  #tellQuarantine(device: string, outcomes: readonly Outcome[]): void {
    const { provider, onTrouble, onFatal } = this.#options;
    const quarantine = provider.quarantine(device);
    if (quarantine === null || this.#told.get(device) === quarantine.until) return;
    this.#told.set(device, quarantine.until);
    const none = provider.devices.every(({ id }) => provider.quarantine(id) !== null);
    if (none && !this.#anyBegun) {
      onFatal(keepsDying(quarantine.reason, outcomes));
      return;
    }
    const time = new Date(quarantine.until).toTimeString().slice(0, 5);
    onTrouble(`${device} is in quarantine until ${time}, then it is tried again: ${quarantine.reason}`);
  }

  /** Jobs of a batch that never came to an end are waiting again, in the store as in the queue. */
  async #handBack(passengers: readonly Passenger[]): Promise<void> {
    const { store, clock, onFatal } = this.#options;
    const jobs = passengers.map(({ job, marks }) => ({ id: job.id, state: 'queued' as const, marks }));
    try {
      await store.settle({ batchId: 'handed-back', at: clock.now(), entries: [], jobs });
    } catch (error) {
      // The store itself is what failed: its next start finds these jobs running under a dead launch and takes them back.
      onFatal(fatalOf(error));
    }
  }

  #closedFor(device: string): Millis {
    const { gate, provider, clock, restsFor } = this.#options;
    if (!gate.isOpen) return Number.POSITIVE_INFINITY;
    const quarantine = provider.quarantine(device);
    const quarantined = quarantine === null ? 0 : quarantine.until - clock.now();
    const unavailable = (this.#unavailable.get(device) ?? 0) - clock.monotonic();
    return Math.max(restsFor(device), quarantined, unavailable, 0);
  }

  #rest(device: string): void {
    this.#options.provider.rest(device).catch((error: unknown) => this.#options.onFatal(fatalOf(error)));
  }
}

/** Answers that say nothing of a batch: its worker or its model did not come up. */
const BEFORE_THE_BATCH: ReadonlySet<string> = new Set(['worker_died_loading', 'model_kills_worker', 'worker_stopped']);

const STAND_BACK_MS: Millis = 500;

/** As long as the first quarantine of a device that dies. */
const UNAVAILABLE_MS: Millis = 300_000;

/** What is not ours to expect is a fault of ours, and keeps its stack. */
export function fatalOf(error: unknown): AppError {
  return error instanceof AppError ? error : new AppError(sentenceOf(error), { code: 'internal', cause: error });
}

/** The store has its last word already. */
function isCancelled({ giveUp: { signal } }: Passenger): boolean {
  return signal.reason instanceof AppError && signal.reason.code === 'cancelled';
}

/** A suspect travels alone: whoever it takes down with it, it is not its neighbours. */
function keyOf({ job, marks }: Passenger): string {
  const key = `${job.priority} ${batchKey(job)}${marks.blacks > 0 ? ' safe' : ''}`;
  return isSuspect(marks) ? `${key} ${job.id}` : key;
}

function lightOf(outcome: Outcome, { marks }: Passenger): Light | null {
  if (outcome.state === 'done') return marks.blacks > 0 ? 'lightened' : 'made';
  if (outcome.answer.code !== 'black_image') return null;
  return outcome.state === 'failed' ? 'black' : 'dark';
}

function keepsDying(reason: string, outcomes: readonly Outcome[]): AppError {
  const last = outcomes.find((outcome) => outcome.state !== 'done');
  const why = last === undefined ? '' : ` (${last.answer.message})`;
  const sentence = `no worker came so far as to begin a picture, and every device is in quarantine: ${reason}${why}; kilnwatt doctor looks at what it needs`;
  return new UnavailableError(sentence, { code: 'worker_keeps_dying' });
}
