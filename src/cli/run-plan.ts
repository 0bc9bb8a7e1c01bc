import { MODEL_IN_THE_BOX } from '../config-schema.ts';
import type { Prices } from '../cost/receipt.ts';
import { sentenceOf } from '../errors.ts';
import type { RunRow } from '../ports.ts';
import { type Ask, type PlannedRun, planSubmission } from '../submission.ts';
import type { App, Interrupts } from './app.ts';
import { refuseSheetOver } from './contact-sheet.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { failureOf, imageOf, jobOf, type Reporter, type RunStarted } from './run-events.ts';
import type { Session } from './session.ts';
import { doorParts, submittedBy } from './submitted.ts';

export interface RunSessionOptions {
  readonly app: App;
  readonly ask: Ask;
  readonly prices: Prices;
  readonly reporter: Reporter;
  readonly dryRun: boolean;
  /** Absolute path of a PNG; null: none is asked for. */
  readonly contactSheet: string | null;
  /**
   * A shell command that is told when nothing of the run is left to make, and of nothing else; the notifier of the
   * configuration hears the rest. Null: none.
   */
  readonly onDone: string | null;
  readonly interrupts: Interrupts;
}

/** What would be made, compared with what is there. Changes nothing. */
export async function plan({ app, ask, dryRun, contactSheet }: RunSessionOptions): Promise<PlannedRun> {
  const planned = await planSubmission(await doorParts(app, app.launch), ask, { download: !dryRun });
  if (contactSheet !== null) refuseSheetOver(planned, contactSheet);
  return planned;
}

export function showPlan(app: App, planned: PlannedRun, reporter: Reporter): number {
  announce(app, planned, reporter);
  for (const job of planned.jobs) reporter.event(jobOf(job, 'planned'));
  if (planned.drawsSeeds)
    reporter.note('Seeds that no line gives are drawn when the run begins; those shown here are examples.');
  return EXIT.done;
}

/** The plan, once it is in store and queue. What was written and could not be begun is taken out again. */
export async function submittedByRun(options: RunSessionOptions, session: Session): Promise<PlannedRun> {
  const { app, ask, interrupts } = options;
  const write = async (planned: PlannedRun): Promise<void> => {
    await session.ready();
    interrupts.take();
    try {
      await session.start(planned);
    } catch (error) {
      await session
        .interrupt(heldBy(app, planned))
        .catch((second: unknown) => options.reporter.note(sentenceOf(second)));
      throw error;
    }
  };
  return submittedBy(app, ask, { plan: () => plan(options), write });
}

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
