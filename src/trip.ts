import { isSuspect, type Marks } from './batch/marks.ts';
import { settlementOf } from './cost/entries.ts';
import { type Prices, receiptsFor } from './cost/receipt.ts';
import { HandedBack, StorageError } from './errors.ts';
import type { Folders } from './folders.ts';
import type { Batch, BatchResult, Clock, ImageStore, Job, MeterBooking, Progress, Provider, Store } from './ports.ts';
import { adoptionOf } from './recovery.ts';
import { givingUp, type Outcome, type OutcomeParts, outcomeOf } from './trip-outcome.ts';
import type { Millis } from './units.ts';

/** Where a test may have the process killed: between each step of *Done, in this order*. */
export type TripFault = 'receipt_computed' | 'batch_finished' | 'transaction_committed';

/** Keeps the chain of marks of every card. */
export interface Bookkeeping {
  /** The card of a device has a batch from now on. */
  begin(device: string, batchId: string): void;
  /**
   * The batch has ended, well or not. Energy that its worker could not tell is filled in from the marks; null where the
   * device has no card.
   */
  end(batch: Batch, result: BatchResult): { readonly result: BatchResult; readonly meter: MeterBooking | null };
  /** What the device's last batch left behind is in the ledger. */
  settled(device: string): void;
  /** It never will be, although it may have ended: what it took is lost. */
  gaveUp(device: string): void;
}

/** What one batch needs on its way. */
export interface TripParts extends OutcomeParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly provider: Provider;
  readonly prices: Prices;
  /** Null where no card is used. */
  readonly books: Bookkeeping | null;
  readonly folders: Folders;
  /** @throws StorageError where the disk of database and queue has no room */
  requireRoom(): Promise<void>;
  /** Longest time that one picture may be in the making, its model loaded; null: as long as it makes progress. */
  readonly jobLimit: Millis | null;
  fault(point: TripFault): void;
  /** Something went wrong that is being mended: jobs are tried again. */
  onTrouble(sentence: string): void;
  onProgress?(progress: Progress): void;
}

/** A job in hand. */
export interface Passenger {
  readonly job: Job;
  readonly marks: Marks;
  /** Aborted when nobody wants it to be made now; the reason is one of `givingUp`. */
  readonly giveUp: AbortController;
}

export type PassengersInHand = Omit<Batch, 'jobs' | 'safe'> & { readonly passengers: readonly Passenger[] };

export interface WorkedOff {
  /** For each passenger undefined when it is settled, or the error that sends it on another trip. */
  readonly answers: readonly (Error | undefined)[];
  /** Of those that were made or tried. */
  readonly outcomes: readonly Outcome[];
}

/** One batch, all the way: running → made → receipts → pictures on disk → one transaction. */
export async function workOff(parts: TripParts, hand: PassengersInHand): Promise<WorkedOff> {
  const { disk, folders, store, requireRoom } = parts;
  const isOpen = await Promise.all(hand.passengers.map(({ job }) => folders.isOpen(job.target)));
  const ready = hand.passengers.filter((_, at) => isOpen[at]);
  const nobody = whenAllGaveUp(ready);
  try {
    // Before the jobs are marked, so that one that only waits for a disk is not taken for one that was being made.
    await disk.untilTaken(requireRoom, nobody.signal);
    const ids = ready.map(({ job }) => job.id);
    const alive = new Set(await disk.untilTaken(() => store.markRunning(ids, hand.id), nobody.signal));
    const riding = ready.filter(({ job }) => alive.has(job.id));
    const boarded = await Promise.all(riding.map((passenger) => board(parts, passenger)));
    const refused = await settleRefused(parts, hand.id, boarded);
    await adoptFinished(parts, boarded);
    const fresh = boarded.filter((one) => one.kind === 'fresh');
    const made = fresh.length === 0 ? [] : await makeAndSettle(parts, { ...hand, passengers: fresh });
    return workedOff(parts, hand.passengers, isOpen, [...refused, ...made]);
  } finally {
    nobody.close();
  }
}

function workedOff(
  parts: TripParts,
  passengers: readonly Passenger[],
  isOpen: readonly boolean[],
  outcomes: readonly Outcome[],
): WorkedOff {
  tellTrouble(parts, outcomes);
  const told = new Map(outcomes.map((outcome) => [outcome.id, outcome]));
  const answers = passengers.map(({ job }, at) => {
    const outcome = told.get(job.id);
    if (outcome !== undefined) lookAfterFolder(parts, job.target, outcome);
    return isOpen[at] ? tripOf(outcome) : new HandedBack({ behind: true });
  });
  return { answers, outcomes };
}

/** Aborted when the last of them was given up; to be closed, since a signal keeps who listens to it. */
function whenAllGaveUp(passengers: readonly Passenger[]): { readonly signal: AbortSignal; close(): void } {
  const all = new AbortController();
  const look = () => {
    if (passengers.every(({ giveUp }) => giveUp.signal.aborted)) all.abort();
  };
  for (const { giveUp } of passengers) giveUp.signal.addEventListener('abort', look);
  look();
  const close = () => {
    for (const { giveUp } of passengers) giveUp.signal.removeEventListener('abort', look);
  };
  return { signal: all.signal, close };
}

type Boarded = Passenger &
  (
    | { readonly kind: 'fresh'; readonly temporary: string }
    | { readonly kind: 'finished'; readonly picture: NonNullable<Awaited<ReturnType<ImageStore['find']>>> }
    | { readonly kind: 'refused'; readonly error: StorageError }
  );

/** What is wrong with the name of one picture is its own trouble, and no reason to stop the others. */
async function board({ disk, images }: TripParts, passenger: Passenger): Promise<Boarded> {
  const { job, giveUp } = passenger;
  try {
    const picture = await disk.untilTaken(() => images.find(job.target, job.id), giveUp.signal);
    if (picture !== undefined) return { ...passenger, kind: 'finished', picture };
    const temporary = await disk.untilTaken(() => images.prepare(job.target, job.id), giveUp.signal);
    return { ...passenger, kind: 'fresh', temporary };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    return { ...passenger, kind: 'refused', error };
  }
}

async function settleRefused(
  parts: TripParts,
  batch: string,
  boarded: readonly Boarded[],
): Promise<readonly Outcome[]> {
  const refused = boarded.flatMap((one): Extract<Outcome, { state: 'failed' }>[] => {
    if (one.kind !== 'refused') return [];
    const { code, message } = one.error;
    const error = { code, message };
    return [{ id: one.job.id, state: 'failed', error, answer: error, wasted: 'failed' }];
  });
  const jobs = refused.map(({ id, state, error }) => ({ id, state, error }));
  const settlement = { batchId: batch, at: parts.clock.now(), entries: [], jobs };
  if (jobs.length > 0) await parts.disk.untilTaken(() => parts.store.settle(settlement));
  return refused;
}

/** Settles those whose picture is on disk already: a batch was cut off between its pictures and its transaction. */
async function adoptFinished({ disk, store, clock }: TripParts, boarded: readonly Boarded[]): Promise<void> {
  for (const one of boarded) {
    if (one.kind !== 'finished') continue;
    await disk.untilTaken(async () => store.settle(await adoptionOf(store, one.job, one.picture, clock.now())));
  }
}

type Prepared = Omit<PassengersInHand, 'passengers'> & {
  readonly passengers: readonly (Passenger & { readonly temporary: string })[];
};

async function makeAndSettle(parts: TripParts, hand: Prepared): Promise<readonly Outcome[]> {
  const { books } = parts;
  books?.begin(hand.device, hand.id);
  try {
    const outcomes = await makeAndBook(parts, hand);
    books?.settled(hand.device);
    return outcomes;
  } catch (error) {
    books?.gaveUp(hand.device);
    throw error;
  }
}

async function makeAndBook(parts: TripParts, hand: Prepared): Promise<readonly Outcome[]> {
  const { id, key, device, passengers } = hand;
  const { images, disk, prices, provider, books } = parts;
  const jobs = passengers.map(({ job, temporary }) => ({ ...job, temporary }));
  const batch: Batch = { id, key, device, jobs, safe: passengers.some(({ marks }) => marks.blacks > 0) };
  const made = await makeWithin(parts, batch, passengers);
  const { result, meter } = books?.end(batch, made) ?? { result: made, meter: null };
  const at = parts.clock.now();
  const receipts = receiptsFor(batch, result, prices, provider.name, at);
  parts.fault('receipt_computed');
  const outcomes = await Promise.all(
    passengers.map(({ job, marks, temporary, giveUp }, at) => {
      const riding = { job: { ...job, temporary }, marks, unwanted: giveUp.signal };
      return outcomeOf(parts, { ...riding, answer: result.answers[at], receipt: receipts.get(job.id) });
    }),
  );
  const paths = outcomes.flatMap((outcome) => (outcome.state === 'done' ? [outcome.path] : []));
  await disk.untilTaken(() => images.syncFolders(paths));
  parts.fault('batch_finished');
  const settlement = settlementOf({ batch, result, receipts, outcomes, prices, at, meter });
  await disk.untilTaken(() => parts.store.settle(settlement));
  parts.fault('transaction_committed');
  return outcomes;
}

/** Gives up what is still open when its time is over, which begins once the model is loaded. */
async function makeWithin(parts: TripParts, batch: Batch, passengers: readonly Passenger[]): Promise<BatchResult> {
  const { clock, jobLimit, provider, onProgress } = parts;
  let stopTimer: (() => void) | null = null;
  // Of each picture: those of one batch are made together.
  const limit = jobLimit === null ? null : jobLimit * batch.jobs.length;
  const timeOut = () => {
    const reason = givingUp('timed_out', `it was not finished after ${(limit ?? 0) / 1000} s (limits.job_seconds)`);
    for (const { giveUp } of passengers) giveUp.abort(reason);
  };
  try {
    return await provider.make(batch, {
      givenUp: new Map(passengers.map(({ job, giveUp }) => [job.id, giveUp.signal])),
      onProgress: (progress) => {
        if (limit !== null && !LOADING.has(progress.phase)) stopTimer ??= clock.after(limit, timeOut);
        onProgress?.(progress);
      },
    });
  } finally {
    (stopTimer as (() => void) | null)?.();
  }
}

const LOADING: ReadonlySet<Progress['phase']> = new Set(['import', 'load', 'compile']);

function tellTrouble(parts: TripParts, outcomes: readonly Outcome[]): void {
  const again = outcomes.filter((outcome) => outcome.state === 'queued' && outcome.wasted === 'failed');
  const [first] = again;
  if (first === undefined || first.state !== 'queued') return;
  const message = first.answer.message;
  parts.onTrouble(`${again.length} of ${outcomes.length} jobs of a batch are tried again: ${message}`);
}

/** Codes by which a provider says that a picture could not be written. */
const DISK_TROUBLE: ReadonlySet<string> = new Set(['disk_full', 'not_writable']);

/** A picture that could not be written is made again, when its folder takes it. */
function lookAfterFolder({ folders }: TripParts, target: string, outcome: Outcome): void {
  if (outcome.state === 'done') folders.took(target);
  else if (DISK_TROUBLE.has(outcome.answer.code)) folders.refused(target, outcome.answer.message);
}

function tripOf(outcome: Outcome | undefined): Error | undefined {
  return outcome?.state === 'queued' ? new HandedBack({ behind: isSuspect(outcome.marks) }) : undefined;
}
