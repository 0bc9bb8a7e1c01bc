import { sentenceOf } from '../errors.ts';
import { Watch } from '../notify/watch.ts';
import type { RunRow } from '../ports.ts';
import type { PlannedRun } from '../submission.ts';
import type { Millis } from '../units.ts';
import { drawContactSheet } from './contact-sheet.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { Herald } from './herald.ts';
import { Making } from './making.ts';
import { pausedNote } from './pause.ts';
import { plan, type RunSessionOptions, showPlan, submittedByRun } from './run-plan.ts';
import { summaryOf } from './run-summary.ts';
import { Session } from './session.ts';

/**
 * One `kilnwatt run` from the plan to the summary.
 * @returns the exit code
 */
export async function runSession(options: RunSessionOptions): Promise<number> {
  const { app, reporter } = options;
  let making: Making | null = null;
  const session = new Session({
    app,
    prices: options.prices,
    interrupts: options.interrupts,
    onProgress: () => {
      reporter.tick();
      making?.herald.moved();
    },
    onNote: (text) => reporter.note(text),
    onPaused: (pause) => {
      reporter.note(pausedNote(pause, app.clock.now()));
      making?.herald.paused('user', 'paused by the user');
    },
    onResumed: () => making?.herald.resumed('user'),
  });
  const began = app.clock.monotonic();
  if (options.dryRun) return showPlan(app, await plan(options), reporter);
  try {
    await session.enter();
    const planned = await submittedByRun(options, session);
    for (const run of session.cutOff) reporter.note(cutOffNote(run, planned.run.id));
    making = new Making(options, session, planned, await heraldOf(options, planned));
    const end = await making.toTheEnd();
    return await billed(options, planned, { counts: making.counts, began, end });
  } finally {
    // Whatever happened: what is in hand goes back, or this process would wait for it for ever, and be the owner.
    await Promise.allSettled([session.stop()]);
  }
}

interface Made {
  readonly counts: Making['counts'];
  readonly began: Millis;
  /** As {@link Making.toTheEnd} has it. */
  readonly end: number | null;
}

async function billed(options: RunSessionOptions, planned: PlannedRun, { counts, began, end }: Made): Promise<number> {
  const { app, reporter } = options;
  const seconds = (app.clock.monotonic() - began) / 1000;
  const sheet = end === null ? await contactSheetOf(options, planned) : NO_SHEET;
  reporter.event(
    await summaryOf({
      planned,
      ...counts,
      store: await app.store(),
      seconds,
      currency: app.loaded.config.tariff.currency,
      contactSheet: sheet.path,
    }),
  );
  if (end !== null) return end;
  if (counts.failed + planned.plan.failed.length > 0) return EXIT.someFailed;
  return sheet.end ?? EXIT.done;
}

const NO_SHEET = { path: null, end: null } as const;

/**
 * The pictures are there without it: what goes wrong with the sheet is said, and shows in the exit code if nothing
 * worse does.
 */
async function contactSheetOf(
  { app, contactSheet: path, reporter, interrupts }: RunSessionOptions,
  { run }: PlannedRun,
): Promise<{ readonly path: string | null; readonly end: number | null }> {
  if (path === null) return NO_SHEET;
  interrupts.take();
  try {
    if (await drawContactSheet(app, run.id, path)) return { path, end: null };
    reporter.note('No picture of this run is on the disk, so there is no contact sheet.');
    return NO_SHEET;
  } catch (error) {
    reporter.note(sentenceOf(error));
    return { path: null, end: exitCodeOf(error) };
  }
}

async function heraldOf({ app, onDone }: RunSessionOptions, { run, plan }: PlannedRun): Promise<Herald> {
  const { clock, loaded } = app;
  const stalledAfter = loaded.config.notify.stalledMinutes * 60_000;
  const watch = new Watch({ clock, stalledAfter, failedBefore: plan.failed.length > 0 });
  const notifier = app.notifier(onDone);
  return new Herald({ run, clock, watch, notifier, store: await app.store(), isWanted: () => true });
}

function cutOffNote({ id, name }: RunRow, thisRun: string): string {
  return id === thisRun
    ? `the run ${name} had been cut off`
    : `the run ${name} had been cut off; its command goes on with it`;
}
