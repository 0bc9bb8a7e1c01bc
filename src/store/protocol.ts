/**
 * What the main thread and the database thread say to each other: each call has an id and gets exactly
 * one answer. Only plain values cross; an error crosses as its code and sentence.
 */
import { AppError, InputError, StorageError } from '../errors.ts';
import type {
  BatchBooking,
  Chain,
  Charge,
  Check,
  Job,
  JobRow,
  JobState,
  LearnedLimit,
  LedgerRow,
  LedgerSpan,
  LedgerSum,
  Mark,
  Marks,
  Measurement,
  MeterBooking,
  News,
  Owner,
  Pause,
  PriceSnapshot,
  RunRow,
  RunTotals,
  RunWrite,
  Settlement,
  SumKey,
} from '../ports.ts';
import type { EpochMillis } from '../units.ts';

/** Everything that the thread can do, one after another. */
export interface Calls {
  open(path: string): void;
  sequence(): number;
  runByName(name: string): RunRow | undefined;
  run(id: string): RunRow | undefined;
  interruptedRun(contentKey: string): RunRow | undefined;
  openRuns(): readonly RunRow[];
  runs(limit: number): readonly RunRow[];
  job(id: string): JobRow | undefined;
  /** Jobs with a larger index than `after`, in the order of their index. */
  jobsPage(runId: string, after: number, limit: number): readonly JobRow[];
  changedSince(runId: string, seq: number, limit: number): readonly JobRow[];
  /** As {@link jobsPage}, in their travelling form; `last` is the index of the last one. */
  payloadsPage(runId: string, states: readonly JobState[], after: number, limit: number): PayloadPage;
  /** Opens the transaction of `writeRun`; until `commitRun` or `abandonRun` no other call may come. */
  beginRun(run: RunWrite['run'], claimedFrom: string | null, createdAt: EpochMillis): void;
  addJobs(runId: string, jobs: readonly JobInsert[]): void;
  requeueJobs(runId: string, jobs: readonly JobRequeue[]): void;
  commitRun(): void;
  abandonRun(): void;
  markQueued(runId: string, jobIds?: readonly string[]): void;
  markRunning(jobIds: readonly string[], batchId: string): readonly string[];
  marks(jobId: string): Marks;
  settle(settlement: Settlement): void;
  interrupt(runId: string, launch: string, jobIds?: readonly string[]): readonly string[];
  cancel(jobIds: readonly string[]): readonly string[];
  retry(jobIds: readonly string[]): readonly string[];
  resume(runId: string): readonly string[];
  hold(runId: string, reason: string | null): void;
  news(seq: number): News;
  setPause(pause: Pause | null): void;
  endPause(pause: Pause): void;
  owner(): Owner | null;
  setOwner(owner: Owner): void;
  limits(): readonly LearnedLimit[];
  learn(limit: LearnedLimit): void;
  forgetLimits(device: string | null): number;
  measurements(): readonly Measurement[];
  measure(measurement: Measurement): void;
  forgetMeasurements(device: string | null): number;
  totals(runId: string, seq: number): RunTotals;
  meter(booking: MeterBooking): void;
  chains(): readonly Chain[];
  bookedOf(batchIds: readonly string[]): ReadonlyMap<string, BatchBooking>;
  marksOf(gpu: string, span: LedgerSpan, after: Mark | null, limit: number): readonly Mark[];
  charge(charges: readonly Charge[]): number;
  keepPrice(snapshot: PriceSnapshot): void;
  price(id: string): PriceSnapshot | undefined;
  slots(span: LedgerSpan): SlotRange | null;
  sums(span: LedgerSpan, by: readonly SumKey[]): readonly LedgerSum[];
  ledger(span: LedgerSpan, after: number, limit: number): readonly LedgerRow[];
  ledgerRow(id: string): LedgerRow | undefined;
  lastRows(limit: number, of: 'all' | 'charges'): readonly LedgerRow[];
  check(): readonly Check[];
  close(): void;
}

export interface PayloadPage {
  readonly jobs: readonly Job[];
  readonly last: number;
}

/** Begins of the first and the last quarter of an hour. */
export interface SlotRange {
  readonly first: EpochMillis;
  readonly last: EpochMillis;
}

/** The travelling job as JSON text: what a row keeps, and cheaper to pass than the object. */
export interface JobPayload {
  readonly id: string;
  readonly path: string;
  readonly payload: string;
}

export interface JobRequeue extends JobPayload {
  readonly remake: boolean;
}

export interface JobInsert extends JobPayload {
  readonly index: number;
  readonly lineKey: string;
  readonly occurrence: number;
  readonly k: number;
}

export interface Call<Name extends keyof Calls = keyof Calls> {
  readonly id: number;
  readonly name: Name;
  readonly args: Parameters<Calls[Name]>;
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: ReturnType<Calls[keyof Calls]> }
  | { readonly id: number; readonly ok: false; readonly error: SentError };

export interface SentError {
  readonly kind: 'input' | 'storage';
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly stack: string | undefined;
}

export function sentErrorOf(error: Error): SentError {
  return {
    kind: error instanceof InputError ? 'input' : 'storage',
    code: error instanceof AppError ? error.code : 'internal',
    message: error.message,
    retryable: error instanceof AppError && error.retryable,
    stack: error.stack,
  };
}

/** The error as it was in the thread; its `cause` carries the stack from there. */
export function receivedError(sent: SentError): AppError {
  const cause = new Error(`in the database thread: ${sent.message}`);
  if (sent.stack !== undefined) cause.stack = sent.stack;
  const options = { code: sent.code, retryable: sent.retryable, cause };
  return sent.kind === 'input' ? new InputError(sent.message, options) : new StorageError(sent.message, options);
}
