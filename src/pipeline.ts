import { type AppError, HandedBack } from './errors.ts';
import { Folders } from './folders.ts';
import { Disk, Gate } from './gate.ts';
import { fatalOf, Kiln, type KilnOptions } from './kiln.ts';
import type { Job, JobHandler, Queue, Store } from './ports.ts';
import type { PlannedRun } from './submission.ts';
import type { Millis } from './units.ts';

/**
 * Puts a planned run into the store and its jobs into the queue: one transaction (`submitting`), the
 * queue, then `queued`. A process that dies in between leaves `submitting` jobs, which the next start
 * finishes or takes back.
 */
export async function submit(parts: SubmitParts, planned: PlannedRun): Promise<void> {
  await parts.store.writeRun({
    run: { ...planned.run, launch: parts.launch, served: parts.served },
    claimedFrom: planned.existing?.launch ?? null,
    add: planned.add,
    requeue: planned.requeue,
  });
  parts.fault('run_written');
  await parts.enqueue(planned.jobs);
  parts.fault('run_enqueued');
  await parts.store.markQueued(planned.run.id);
}

/**
 * Only the transaction: whoever serves puts the jobs into the queue, now or when one starts. Lines that the run has no
 * more are not made any more, where nobody has begun with them.
 */
export async function submitForServer(
  { store, launch }: Pick<SubmitParts, 'store' | 'launch'>,
  { run, existing, plan, add, requeue }: PlannedRun,
): Promise<void> {
  const claimedFrom = existing?.launch ?? null;
  await store.writeRun({ run: { ...run, launch, served: true }, claimedFrom, add, requeue });
  await store.cancel(plan.removed.filter(({ state }) => state !== 'running').map(({ id }) => id));
}

export interface SubmitParts {
  readonly store: Store;
  readonly launch: string;
  /** The run is for whoever serves, and not for this process. */
  readonly served: boolean;
  /** Adds to whichever queue server is there now; the same ids twice are one job. */
  enqueue(jobs: readonly Job[]): Promise<void>;
  fault(point: 'run_written' | 'run_enqueued'): void;
}

export interface WorkParts extends Omit<KilnOptions, 'gate' | 'disk' | 'folders'> {
  readonly queue: Queue;
  /** Longest that a stop waits for the running batches before it gives them up. */
  readonly stopLimit: Millis;
  onNote(sentence: string): void;
}

export interface Working {
  /** Whether a batch is under way. */
  readonly busy: boolean;
  /** Jobs that were cancelled or taken out: those under way are given up at the next step. Unknown ids are ignored. */
  withdraw(jobIds: readonly string[]): void;
  /** Begins no batch until `resume`; with `now`, running ones are given up and made again later. Devices are freed. */
  pause(options: { readonly now: boolean }): void;
  resume(): void;
  /** To be called now and then, and when a device may take batches again. */
  look(): void;
  /** Hands back what has not begun, finishes the running batches, and takes nothing more. May be called twice. */
  stop(): Promise<void>;
}

/** Works the queue off, batch by batch on every device of the provider, until stopped. */
export function work(parts: WorkParts): Working {
  const { clock, queue, store, onNote } = parts;
  const stopping = new AbortController();
  const gate = new Gate(() => kiln.look());
  const disk = new Disk({ gate, clock, onNote, stopping: stopping.signal });
  const kiln: Kiln = new Kiln({
    ...parts,
    gate,
    disk,
    folders: new Folders({ clock, images: parts.images, onNote }),
    onWindow: (window) => worker.setWindow(window),
    onFatal: (error) => {
      parts.onFatal(error);
      stop().catch((cause: unknown) => parts.onFatal(fatalOf(cause)));
    },
  });
  const onUnreadable = (id: string, { code, message }: AppError): Promise<void> => {
    const job = { id, state: 'failed', error: { code, message } } as const;
    return store.settle({ batchId: 'unreadable', at: clock.now(), entries: [], jobs: [job] });
  };
  const onAway = (away: boolean): void => {
    if (away) {
      gate.shut('queue_away');
      onNote('The queue server has been away for long: no batch is begun until it is back.');
      return;
    }
    // What has not begun may have been given to others meanwhile.
    kiln.release();
    gate.open('queue_away');
    onNote('The queue server is back.');
  };
  const handler: JobHandler = (job, delivery) => kiln.take(job, delivery);
  const worker = queue.work(handler, { window: kiln.window, onUnreadable, onAway });
  let stopped: Promise<void> | null = null;
  const stopWork = async (): Promise<void> => {
    kiln.close();
    const done = worker.stop();
    kiln.release();
    stopping.abort(new HandedBack());
    const cancel = clock.after(parts.stopLimit, () => kiln.giveUp('stopped'));
    await done.finally(cancel);
  };
  const stop = (): Promise<void> => {
    stopped ??= stopWork();
    return stopped;
  };
  return {
    withdraw: (ids) => kiln.withdraw(ids),
    pause: ({ now }) => {
      gate.shut('paused');
      worker.hold(true);
      kiln.release();
      if (now) kiln.giveUp('paused');
      kiln.rest();
    },
    resume: () => {
      worker.hold(false);
      gate.open('paused');
    },
    look: () => kiln.look(),
    stop,
    get busy() {
      return kiln.busy;
    },
  };
}
