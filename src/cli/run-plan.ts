import { MODEL_IN_THE_BOX } from '../config-schema.ts';
import type { Prices } from '../cost/receipt.ts';
import { InputError, sentenceOf } from '../errors.ts';
import type { Job, RunRow } from '../ports.ts';
import { type Ask, type PlannedRun, planSubmission } from '../submission.ts';
import type { App, Interrupts } from './app.ts';
import { refuseSheetOver } from './contact-sheet.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { failureOf, imageOf, jobOf, type Reporter, type RunStarted } from './run-events.ts';
import type { Session } from './session.ts';

export interface RunSessionOptions {
  readonly app: App;
  readonly ask: Ask;
  readonly prices: Prices;
  readonly reporter: Reporter;
  readonly dryRun: boolean;
  /** Absolute path of a PNG; null: none is asked for. */
  readonly contactSheet: string | null;
  /** Told of the run's notices, beside the notifier of the configuration; null: none. */
  readonly onDone: string | null;
  readonly interrupts: Interrupts;
}

/** What would be made, compared with what is there. Changes nothing. */
export async function plan({ app, ask, dryRun, contactSheet }: RunSessionOptions): Promise<PlannedRun> {
  const { clock, models, images, launch, isAlive, randomSeed } = app;
  const parts = { clock, models, images, launch, isAlive, randomSeed, store: await app.store() };
  const planned = await planSubmission(parts, ask, { download: !dryRun });
  if (contactSheet !== null) refuseSheetOver(planned, contactSheet);
  return planned;
}

export function showPlan(app: App, planned: PlannedRun, reporter: Reporter): number {
  announce(app, planned, reporter);
  for (const job of planned.jobs) reporter.event(jobOf(job, 'planned'));
  if (planned.plan.add.some(({ wanted }) => wanted.seed === null))
    reporter.note('Seeds that no line gives are drawn when the run begins; those shown here are examples.');
  return EXIT.done;
}

/**
 * The plan, once it is in store and queue. Where nobody named the run, another process that took the name or the
 * interrupted run first is no reason to fail: the next plan finds that out and takes something else.
 */
export async function submitted(options: RunSessionOptions, session: Session): Promise<PlannedRun> {
  const { app, ask, interrupts } = options;
  for (let attempt = 1; ; attempt += 1) {
    const planned = await plan(options);
    if (planned.jobs.length === 0) return planned;
    await requireRoom(app, planned.jobs);
    await session.ready();
    interrupts.take();
    try {
      await session.start(planned);
      return planned;
    } catch (error) {
      const taken = error instanceof InputError && error.code === 'run_busy';
      if (taken && ask.name === null && attempt < PLANS) continue;
      await session
        .interrupt(heldBy(app, planned))
        .catch((second: unknown) => options.reporter.note(sentenceOf(second)));
      throw error;
    }
  }
}

/** Of a run that nobody named; each but the last is lost to a process that was faster. */
const PLANS = 20;

export function heldBy({ launch }: App, { run }: PlannedRun): Pick<RunRow, 'id' | 'launch'> {
  return { id: run.id, launch };
}

export function announce(app: App, planned: PlannedRun, reporter: Reporter): void {
  const { jobs } = planned;
  const unasked = app.loaded.origins.model === 'default';
  if (unasked && jobs.some(({ request }) => request.model === MODEL_IN_THE_BOX)) reporter.note(DRAWS_SHAPES);
  reporter.event(startedOf(planned));
}

export function startedOf({ run, plan, existing, total, jobs, folder }: PlannedRun): RunStarted {
  return {
    event: 'run',
    run: run.id,
    name: run.name,
    resumed: existing !== null,
    jobs: total,
    to_make: jobs.length,
    cached: plan.done.length,
    failed: plan.failed.length,
    removed: plan.removed.length,
    out_dir: folder,
  };
}

const DRAWS_SHAPES = `The model in the box, ${MODEL_IN_THE_BOX}, draws shapes in ten colours and nothing else; --model names another.`;

/** What was done or failed before; a picture that the user threw away has no path any more. */
export async function reportEarlier(app: App, planned: PlannedRun, reporter: Reporter): Promise<void> {
  let gone = 0;
  for (const row of planned.plan.done) {
    const there = await app.images.exists(row.path);
    if (!there) gone += 1;
    reporter.event(imageOf(row, true, there ? row.path : null));
  }
  for (const row of planned.plan.failed) reporter.event(failureOf(row));
  if (gone > 0)
    reporter.note(
      `${counted(gone, 'picture')} of those done before are gone from the disk; --remake-missing makes them again.`,
    );
}

/** Looks before anything is queued: disks that are full, or a folder that may not be written to. */
export async function requireRoom(app: App, [first]: readonly Job[]): Promise<void> {
  if (first === undefined) return;
  await app.requireRoom();
  await app.images.requireRoom(first.target);
}
