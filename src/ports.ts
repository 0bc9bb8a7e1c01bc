/**
 * Everything the core needs from the outside, on one page. Types only; no SDK type may appear here. The records that
 * cross are in `ports-job.ts` and `ports-record.ts`, and are named from here. Each port has a real adapter and a fake or
 * in-memory one in the folder of its name, and both pass the same contract in `test/contracts/`.
 */
import type { Marks } from './batch/marks.ts';
import type { AppError } from './errors.ts';
import type { Batch, BatchResult, Device, ImageFormat, Job, Lora, Model, Progress } from './ports-job.ts';
import type {
  BatchBooking,
  Chain,
  Charge,
  LedgerRow,
  LedgerSpan,
  LedgerSum,
  Mark,
  MeterBooking,
  PriceSnapshot,
  SumKey,
} from './ports-ledger.ts';
import type {
  ImageMetadata,
  JobRow,
  JobState,
  LearnedLimit,
  Measurement,
  News,
  Owner,
  Pause,
  RunRow,
  RunTotals,
  RunWrite,
  Settlement,
} from './ports-record.ts';
import type { Choice } from './preset/explanation.ts';
import type { EpochMillis, Millis } from './units.ts';

export type * from './ports-job.ts';
export type * from './ports-ledger.ts';
export type * from './ports-record.ts';
export type * from './ports-telemetry.ts';
export type { Marks };

// ---------------------------------------------------------------------------------------- time

/** Time is handed in, so that no test sleeps. */
export interface Clock {
  now(): EpochMillis;
  /** Never goes backwards; only differences mean anything. */
  monotonic(): Millis;
  /** Calls back once after `delay`; the returned function cancels it. Never keeps the process alive. */
  after(delay: Millis, callback: () => void): () => void;
}

// ------------------------------------------------------------------------------------- checks

/** One line of `doctor`. `mend` is the command or the setting that puts it right. */
export interface Check {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly detail: string;
  readonly mend?: string;
}

export interface Checked {
  /** Never throws and never changes anything. */
  check(): Promise<readonly Check[]>;
}

// -------------------------------------------------------------------------------------- model

export interface ModelRegistry extends Checked {
  /**
   * @param name a folder, a name of a model in the models folder, or a hub id (`org/name`)
   * @param options.download false: a hub id that is not on this disk counts as missing
   * @throws InputError `model_missing`, `model_unsafe` (pickle weights only), `model_broken`
   * @throws UnavailableError `model_unreachable` when a hub id is not on disk and cannot be fetched
   */
  resolve(name: string, options?: { readonly download?: boolean }): Promise<Model>;
  /** By file, or by name in the folder of LoRAs. @throws InputError `lora_missing`, `lora_unsafe` (a pickle), `lora_broken` */
  resolveLora(name: string): Promise<Lora>;
  /** Names in the models folder. */
  list(): Promise<readonly string[]>;
}

// ----------------------------------------------------------------------------------- provider

/** What can make an image. */
export interface Provider extends Checked {
  readonly name: 'local' | 'fake';
  readonly devices: readonly Device[];
  /**
   * How many jobs like this one a batch on this device may hold, as the preset and what was learned there say.
   * @param safe whether the batch is to be a safe one: its settings have limits of their own
   */
  limit(job: Job, device: string, safe: boolean): number;
  /**
   * What jobs like this one would be made with on a device now, and why: the same choice that `limit` and `make` go by.
   * @throws InputError `preset_unknown`; AppError `out_of_memory` where nothing is left to try
   */
  explain(job: Job, device: string): Choice;
  /** The model hash that a device has loaded now, or null. */
  resident(device: string): string | null;
  /** Of the processes that make pictures on a device now, as this machine numbers them. */
  pids(device: string): readonly number[];
  /** Null for a device that takes batches; else why it is in quarantine, and when it is to be probed with the next batch. */
  quarantine(device: string): { readonly reason: string; readonly until: EpochMillis } | null;
  /**
   * Works one batch off. Resolves with one answer a job, also where the worker died or nothing could be loaded;
   * rejects only with UnavailableError, or the signal's reason. One call a device at a time.
   * @param options.signal gives the whole batch up
   * @param options.givenUp by job id: a job whose signal is aborted is left out from the next step on
   */
  make(
    batch: Batch,
    options: {
      readonly signal?: AbortSignal;
      readonly givenUp?: ReadonlyMap<string, AbortSignal>;
      onProgress?(progress: Progress): void;
    },
  ): Promise<BatchResult>;
  /** Frees a device that has no batch: its worker ends, with all that it holds, and is started again by the next batch. */
  rest(device: string): Promise<void>;
  /** Stops every child and waits until it is gone. May be called twice. */
  close(): Promise<void>;
}

// -------------------------------------------------------------------------------------- queue

export interface Queue extends Checked {
  /** Adds jobs in order; a job whose id is in the queue already is left as it is. Retries a lost connection with the same ids. */
  add(jobs: readonly Job[]): Promise<void>;
  /** Takes jobs out, whatever their state; unknown ids are ignored. */
  remove(jobIds: readonly string[]): Promise<void>;
  /**
   * For the one owner at its start, when no other worker of this queue is alive: every job that a dead
   * process held is waiting again at its place, those that were handed back until a time are waiting too, and jobs that
   * `keep` refuses are gone.
   */
  reclaim(
    keep: (job: { readonly id: string; readonly runId: string }) => boolean,
  ): Promise<{ kept: number; removed: number }>;
  /** Jobs that were handed back until a time are waiting at once: what the time was worked out from has changed. */
  promote(): Promise<void>;
  /** Ids of all jobs that are waiting, delayed or active. */
  ids(): Promise<readonly string[]>;
  /** Starts working off. At most one worker an object. */
  work(handler: JobHandler, options: WorkOptions): QueueWorker;
  close(): Promise<void>;
}

/**
 * Called for one delivery of a job at a time. Resolves when the job is settled in the store. Throws HandedBack to return
 * it to its place unharmed, or behind the clean jobs of its priority; with a time, it comes again when the clock of this
 * host shows that, in the order of handing back. Any other error has it removed.
 */
export type JobHandler = (job: Job, delivery: Delivery) => Promise<void>;

export interface Delivery {
  /** Aborted when the job was taken out of the queue, or given to another worker. */
  readonly signal: AbortSignal;
  /** It came from behind the clean jobs of its priority. */
  readonly behind: boolean;
}

export interface WorkOptions {
  /** How many jobs are in hand at most. */
  readonly window: number;
  /** For a job that cannot be read, which no handler gets to see. Awaited before the queue drops the job; `error` says why. */
  onUnreadable?(jobId: string, error: AppError): Promise<void>;
  /**
   * True once the server has been away for so long that the jobs in hand may soon be given to others, false when it is
   * back. Nothing new is to be begun in between; what has not begun is to be handed back when it is over.
   */
  onAway?(away: boolean): void;
}

export interface QueueWorker {
  setWindow(window: number): void;
  /** While held, takes no further jobs; those in hand are not touched. */
  hold(held: boolean): void;
  /** Takes no further jobs and waits until every handler has settled. May be called twice. */
  stop(): Promise<void>;
}

// --------------------------------------------------------------------------------------- desk

/** Something that only whoever serves can do. What it means is between the two who speak; here it is plain JSON. */
export interface Question {
  /** Chosen by the asker, a UUID. The same id is the same question, however often it arrives. */
  readonly id: string;
  readonly body: unknown;
}

/** What became of a question. A refusal is thrown instead. */
export type Heard =
  | { readonly kind: 'answered'; readonly answer: unknown }
  /** Nobody began with it; it was taken back, and nobody will. */
  | { readonly kind: 'unheard' }
  /** Whoever began with it is gone, and nobody came instead. Nobody will begin again; what had come of it is known there alone. */
  | { readonly kind: 'abandoned' }
  /** The asker's signal was aborted. False: somebody may have begun with it, or will when the server is back. */
  | { readonly kind: 'interrupted'; readonly takenBack: boolean };

/** Returns the answer, as plain JSON. Throws HandedBack to leave the question to whoever attends next; any other error is a refusal. */
export type Clerk = (question: Question) => Promise<unknown>;

export interface AskOptions {
  readonly patience: Millis;
  readonly signal: AbortSignal;
  onHandingIn?(): void;
}

/** Where a command hands something in, from any host that reaches the server of the queue, for whoever serves. */
export interface Desk {
  /**
   * Hands a question in and waits for its answer.
   * @param options.patience how long it may lie there while nobody attends; while somebody does, it waits on
   * @param options.onHandingIn called once, when the server is reached: from then on an asker that dies leaves it behind
   * @throws what the clerk threw, as InputError, ConfigError, StorageError or UnavailableError with its code, sentence
   *   and place; AppError `internal` for any other error, whose text stays with whoever attends
   * @throws InputError `question_too_large`; ConfigError `desk_unreadable` where another version attends;
   *   UnavailableError `redis_unavailable`
   */
  ask(question: Question, options: AskOptions): Promise<Heard>;
  /**
   * For the one owner, when nobody else attends any more: questions are answered one after the other, first those that
   * a dead process had begun with. A question may arrive again although it was answered: its clerk has to know.
   * At most one at a time for an object. Resolves when it is open.
   */
  attend(clerk: Clerk): Promise<Attendance>;
  /** May be called twice. */
  close(): Promise<void>;
}

export interface Attendance {
  /**
   * Takes no further question at once, and waits for the answer to the one in hand; where that takes too long, the
   * question is left to whoever attends next, although the clerk may still come to its end. May be called twice.
   */
  stop(): Promise<void>;
}

// -------------------------------------------------------------------------------------- store

export interface Store extends Checked {
  /** A number that every later change exceeds. */
  sequence(): Promise<number>;
  runByName(name: string): Promise<RunRow | undefined>;
  run(id: string): Promise<RunRow | undefined>;
  /** The youngest unnamed run of this content that has jobs left to make. */
  interruptedRun(contentKey: string): Promise<RunRow | undefined>;
  /** Runs that have jobs in `submitting`, `queued` or `running`. */
  openRuns(): Promise<readonly RunRow[]>;
  /** The youngest runs, youngest first. */
  runs(limit: number): Promise<readonly RunRow[]>;
  job(id: string): Promise<JobRow | undefined>;
  jobsOf(runId: string): Promise<readonly JobRow[]>;
  /** Jobs of a run that changed after `seq`, oldest change first, at most `limit` (default 1,000). */
  changedSince(runId: string, seq: number, limit?: number): Promise<readonly JobRow[]>;
  /** The travelling form of jobs, in the order of their index. */
  payloads(runId: string, states: readonly JobState[]): Promise<readonly Job[]>;
  /**
   * One transaction: claims the run for a launch, inserts jobs and sets those and the requeued to `submitting`;
   * a requeued job that is done meanwhile is left as it is, unless it is to be remade, and so is one that is being made.
   * What befell a requeued job that was interrupted is kept; one that had failed or was done is clean again. A hold of the
   * run is lifted.
   * @throws InputError `run_busy` when another launch claimed it meanwhile or the name was just taken
   */
  writeRun(write: RunWrite): Promise<void>;
  /**
   * `submitting` → `queued`, after the queue has them.
   * @param jobIds those that it has; left out: all of the run
   */
  markQueued(runId: string, jobIds?: readonly string[]): Promise<void>;
  /**
   * `queued` or `submitting` → `running`, before a provider sees them. Returns the ids that are to be made: one that
   * was done, cancelled or interrupted meanwhile, or whose run is held, is not among them.
   */
  markRunning(jobIds: readonly string[], batchId: string): Promise<readonly string[]>;
  /** What befell a job so far; clean for one that is not known. */
  marks(jobId: string): Promise<Marks>;
  /**
   * The one transaction of a batch. A job that has an active entry already keeps it, and the newcomer's
   * entry is booked as overhead `redone`. Writing the same settlement twice changes nothing.
   */
  settle(settlement: Settlement): Promise<void>;
  /**
   * Everything of the run that is not settled becomes `interrupted`, if `launch` is still what claimed the run last:
   * whoever claimed it meanwhile keeps it. Returns the ids.
   * @param jobIds only those, and nothing at all of a run that waits for whoever serves: what it has was promised to be made
   */
  interrupt(runId: string, launch: string, jobIds?: readonly string[]): Promise<readonly string[]>;
  /** Those of the jobs that are not settled become `cancelled`, interrupted ones too. Returns their ids. */
  cancel(jobIds: readonly string[]): Promise<readonly string[]>;
  /** What others wrote for whoever works, after `seq`: one quick look, made several times a second. */
  news(seq: number): Promise<News>;
  /**
   * Failed and cancelled ones of the jobs wait again, clean and for whoever serves; a hold of their runs is lifted, with
   * what that had kept back. Returns the ids of those that had failed or been cancelled.
   */
  retry(jobIds: readonly string[]): Promise<readonly string[]>;
  /** What is interrupted of a run waits again, for whoever serves; its hold is lifted, with what that had kept back. Returns the ids. */
  resume(runId: string): Promise<readonly string[]>;
  /** Holds a run, so that nothing more of it is begun; null lets it go on. */
  hold(runId: string, reason: string | null): Promise<void>;
  setPause(pause: Pause | null): Promise<void>;
  /** Of a pause whose time is over; another one that has taken its place stays. */
  endPause(pause: Pause): Promise<void>;
  owner(): Promise<Owner | null>;
  setOwner(owner: Owner): Promise<void>;
  limits(): Promise<readonly LearnedLimit[]>;
  /** In place of what was known of the same: whoever learns knows what holds. */
  learn(limit: LearnedLimit): Promise<void>;
  /** Forgets what was learned of a device, as the limits name it; null: of all of them. Returns how many limits that were. */
  forgetLimits(device: string | null): Promise<number>;
  measurements(): Promise<readonly Measurement[]>;
  /** In place of what was known of the same. */
  measure(measurement: Measurement): Promise<void>;
  /** As {@link forgetLimits}, for what batches took. */
  forgetMeasurements(device: string | null): Promise<number>;
  /**
   * Sums over entries of the run written after `seq`. The last picture of a job that is done counts as `active` also
   * where it was booked as `redone`, if the job's active entry is older than `seq`: it is what this stretch made.
   */
  totals(runId: string, seq: number): Promise<RunTotals>;
  /** What a card did besides settled batches. Marks get their numbers here; what was written before is not written again. */
  meter(booking: MeterBooking): Promise<void>;
  /** Of every card that was ever marked. */
  chains(): Promise<readonly Chain[]>;
  /** What the batches of these ids have booked. Nothing is known of one that is not in the answer. */
  bookedOf(batchIds: readonly string[]): Promise<ReadonlyMap<string, BatchBooking>>;
  /** Marks of a card in the order of their times, at most `limit`, after the number `after` at the same or a later time. */
  marksOf(gpu: string, span: LedgerSpan, after: Mark | null, limit: number): Promise<readonly Mark[]>;
  /** Books charges; one that is there already is left. Returns how many were new. */
  charge(charges: readonly Charge[]): Promise<number>;
  /** Keeps what a price is; one that is known stays. */
  keepPrice(snapshot: PriceSnapshot): Promise<void>;
  price(id: string): Promise<PriceSnapshot | undefined>;
  /**
   * Sums over rows whose time ended in the span, which begins and ends at quarters of an hour, or at no time at all
   * (`Infinity`). The last moment of a row counts: a stretch up to midnight is one of the day before.
   * @throws StorageError `internal` for a span that cuts a quarter
   */
  sums(span: LedgerSpan, by: readonly SumKey[]): Promise<readonly LedgerSum[]>;
  /** Rows in the order of their writing, whose time ended in the span as in {@link sums}, with a `seq` over `after`, at most `limit`. */
  ledger(span: LedgerSpan, after: number, limit: number): Promise<readonly LedgerRow[]>;
  ledgerRow(id: string): Promise<LedgerRow | undefined>;
  /** The rows written last, at most `limit`, in the order of their writing. `charges`: only those that no meter told. */
  lastRows(limit: number, of: 'all' | 'charges'): Promise<readonly LedgerRow[]>;
  close(): Promise<void>;
}

// ------------------------------------------------------------------------------------- images

export interface ImageStore extends Checked {
  /** Makes the folder and names a temporary file beside the target; a leftover of the same job is removed. */
  prepare(target: string, jobId: string): Promise<string>;
  /**
   * Puts the metadata in, syncs, and links it to its final name, which is the target or, where another
   * picture has that name, the target with `-2`, `-3` … An existing name is never overwritten; a file
   * there that carries the same job id is returned instead.
   * @throws StorageError `disk_full`, `not_writable`
   */
  finish(
    made: {
      readonly temporary: string;
      readonly target: string;
      readonly format: ImageFormat;
      readonly sidecar: 'txt' | 'json' | null;
    },
    metadata: ImageMetadata,
  ): Promise<string>;
  /** Syncs the folders, after which the names survive a power cut. */
  syncFolders(paths: readonly string[]): Promise<void>;
  /** The final file that carries this job's id, at the target or one of its numbered siblings. */
  find(target: string, jobId: string): Promise<{ readonly path: string; readonly metadata: ImageMetadata } | undefined>;
  /**
   * Whether a picture can be put there now: the folder can be made and written to, and the disk keeps its reserve.
   * @throws StorageError `disk_full`, `not_writable`; `bad_target` for a name that no waiting mends
   */
  requireRoom(target: string): Promise<void>;
  /** Removes a temporary file; a missing one is fine. */
  discard(temporary: string): Promise<void>;
  exists(path: string): Promise<boolean>;
}

/** Draws one PNG that shows many pictures, each with its caption under it, in the order given. */
export interface ContactSheets {
  /**
   * Replaces what is at `path`, once the sheet is whole; makes the folder. A picture that cannot be read leaves its place empty.
   * @throws StorageError `sheet_failed`; AppError `interrupted`
   */
  draw(sheet: {
    readonly path: string;
    readonly pictures: readonly { readonly path: string; readonly caption: string }[];
  }): Promise<void>;
}

// ------------------------------------------------------------------------------------- notices

/** Something that its user wants to hear of while away. */
export interface Notice {
  readonly kind: 'done' | 'first_failure' | 'stalled' | 'paused';
  readonly run: { readonly id: string; readonly name: string };
  /** `987/1000, 13 failed, 2.1 kWh, 0.61 EUR, 5 h 12`; of a failure, a stall or a pause also why. */
  readonly line: string;
}

export interface Notifier extends Checked {
  /** Never throws, and gives up after a while: a deaf receiver must not hold up the night. What failed is logged. */
  tell(notice: Notice): Promise<void>;
}
