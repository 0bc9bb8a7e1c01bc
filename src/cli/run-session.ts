import { sentenceOf } from '../errors.ts';
import { Watch } from '../notify/watch.ts';
import type { JobRow, RunRow } from '../ports.ts';
import type { PlannedRun } from '../submission.ts';
import type { Millis } from '../units.ts';
import { drawContactSheet } from './contact-sheet.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { counted } from './figures.ts';
import { follow } from './follow.ts';
import { Herald } from './herald.ts';
import { pausedNote } from './pause.ts';
import { failureOf, imageOf, jobOf } from './run-events.ts';
import { announce, heldBy, plan, type RunSessionOptions, reportEarlier, showPlan, submittedByRun } from './run-plan.ts';
import { summaryOf } from './run-summary.ts';
import { Session } from './session.ts';

/**
 * One `kilnwatt run` from the plan to the summary.
 * @returns the exit code
 */
export async function runSession(options: RunSessionOptions): Promise<number> {
  const { app, reporter } = options;
  const began = app.clock.monotonic();
  const session = new Session({
    app,
    prices: options.prices,
    onProgress: () => {
      reporter.tick();
      making?.herald.moved();
    },
    onNote: (text) => reporter.note(text),
    onPaused: (pause) => {
      reporter.note(pausedNote(pause));
      making?.herald.paused('paused by the user');
    },
    onResumed: () => making?.herald.resumed(),
  });
  let making: Making | null = null;
  if (options.dryRun) return showPlan(app, await plan(options), reporter);
  await session.enter();
  const planned = await submittedByRun(options, session);
  for (const run of session.cutOff) reporter.note(cutOffNote(run, planned.run.id));
  making = new Making(options, session, planned, await heraldOf(options, planned));
  const end = await making.toTheEnd();
  await making.herald.finished();
  const seconds = (app.clock.monotonic() - began) / 1000;
  const sheet = end === null ? await contactSheetOf(options, planned) : NO_SHEET;
  reporter.event(
    await summaryOf({
      planned,
      ...making.counts,
      store: await app.store(),
      seconds,
      currency: app.loaded.config.tariff.currency,
      contactSheet: sheet.path,
    }),
  );
  if (end !== null) return end;
  if (making.counts.failed + planned.plan.failed.length > 0) return EXIT.someFailed;
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

async function heraldOf({ app, onDone }: RunSessionOptions, { run, since, plan }: PlannedRun): Promise<Herald> {
  const { clock, loaded } = app;
  const stalledAfter = loaded.config.notify.stalledMinutes * 60_000;
  const watch = new Watch({ clock, stalledAfter, failedBefore: plan.failed.length > 0 });
  const notifier = app.notifier(onDone);
  return new Herald({ run, since, clock, watch, notifier, store: await app.store(), isWanted: () => true });
}

/** From the submission until everything is settled, the user stops it, or nothing can go on. */
class Making {
  readonly #options: RunSessionOptions;
  readonly #session: Session;
  readonly #planned: PlannedRun;
  readonly #waitingFor: Set<string>;
  readonly herald: Herald;
  #nextLook: Millis = 0;
  #stopping: Promise<void> | null = null;
  #made = 0;
  #failed = 0;
  #cancelled = 0;
  /** Why nothing more of the run is made, though it is not over. */
  #held: string | null = null;

  constructor(options: RunSessionOptions, session: Session, planned: PlannedRun, herald: Herald) {
    this.#options = options;
    this.herald = herald;
    this.#session = session;
    this.#planned = planned;
    this.#waitingFor = new Set(planned.jobs.map((job) => job.id));
  }

  /** What this command has seen, and the store's sequence at its beginning. */
  get counts(): { readonly made: number; readonly failed: number; readonly since: number | null } {
    const { jobs, since } = this.#planned;
    return { made: this.#made, failed: this.#failed, since: jobs.length > 0 ? since : null };
  }

  /** The exit code if it is not told by the counts alone. */
  async toTheEnd(): Promise<number | null> {
    try {
      await this.#begin();
      await this.#follow();
    } catch (error) {
      await this.#takeOut().catch((second: unknown) => this.#options.reporter.note(sentenceOf(second)));
      throw error;
    }
    const left = this.#waitingFor.size > 0 && this.#held === null;
    const detached = left && !this.#session.works && this.#session.fatal === null;
    if (detached) return this.#sayDetached();
    await this.#session.stop();
    await this.#takeOut();
    return this.#ending();
  }

  async #begin(): Promise<void> {
    const { app, reporter } = this.#options;
    announce(app, this.#planned, reporter);
    await reportEarlier(app, this.#planned, reporter);
    this.#sayWhatStays();
    if (this.#planned.jobs.length > 0 && !this.#session.works)
      reporter.note(
        'Another kilnwatt owns this data folder and makes these pictures too, after those it has begun with.',
      );
    for (const job of this.#planned.jobs) reporter.event(jobOf(job, 'queued'));
  }

  /** What is done stays as it was made, whatever is asked for now. */
  #sayWhatStays(): void {
    const { ask, reporter } = this.#options;
    const { done } = this.#planned.plan;
    const moved = ask.out !== null && done.some((row) => !row.path.startsWith(`${ask.out}/`));
    const [first] = done;
    if (moved && first !== undefined)
      reporter.note(`What was done before stays where it is, not in ${ask.out}: ${first.path} and so on.`);
  }

  async #follow(): Promise<void> {
    const { app } = this.#options;
    const rows = follow({
      store: await app.store(),
      clock: app.clock,
      runId: this.#planned.run.id,
      since: this.#planned.since,
      waitingFor: this.#waitingFor,
      goOn: () => this.#goOn(),
    });
    for await (const row of rows) this.#report(row);
  }

  #report(row: JobRow): void {
    const { reporter } = this.#options;
    this.herald.changed(row);
    if (row.state === 'done') {
      this.#made += 1;
      reporter.event(imageOf(row, false, row.path));
    } else if (row.state === 'failed') {
      this.#failed += 1;
      reporter.event(failureOf(row));
    } else if (row.state === 'cancelled') {
      this.#cancelled += 1;
    } else if (row.state === 'running') {
      reporter.event({
        event: 'job',
        id: row.id,
        state: 'running',
        prompt: row.prompt,
        seed: row.seed,
        path: row.path,
      });
    }
  }

  async #goOn(): Promise<boolean> {
    const { app, reporter } = this.#options;
    reporter.tick();
    if (this.#session.fatal !== null || this.#options.interrupts.count() > 0) return this.#windDown();
    await this.#session.attend();
    this.herald.look(this.#waitingFor.size);
    const now = app.clock.monotonic();
    if (now >= this.#nextLook) {
      this.#nextLook = now + (this.#session.works ? LOOK_AFTER_EVERY_MS : TAKE_OVER_EVERY_MS);
      await this.#session.tend();
      this.#held = (await (await app.store()).run(this.#planned.run.id))?.held ?? null;
      if (this.#held !== null) this.herald.paused(this.#held);
    }
    return this.#held === null || this.#windDown();
  }

  /** After the first Ctrl-C, or a fatal error: an owner finishes its batches, whose pictures are still to be reported; a client leaves at once. */
  async #windDown(): Promise<boolean> {
    if (!this.#session.works) return false;
    if (this.#stopping === null) {
      if (this.#session.fatal === null && this.#held === null)
        this.#options.reporter.note('Finishing the running batch; Ctrl-C again stops now.');
      this.#stopping = this.#session.stop().then(() => this.#takeOut());
    }
    await this.#stopping;
    return true;
  }

  async #takeOut(): Promise<void> {
    if (this.#planned.jobs.length > 0) await this.#session.interrupt(heldBy(this.#options.app, this.#planned));
  }

  #sayDetached(): number {
    const { name } = this.#planned.run;
    this.#options.reporter.note(
      `Left the run ${name}: the kilnwatt that owns this data folder goes on with it while it runs; the same command ` +
        `follows it again, or resumes it, and \`kilnwatt runs cancel ${name}\` takes it out.`,
    );
    return EXIT.interrupted;
  }

  #ending(): number | null {
    const { reporter, interrupts } = this.#options;
    const { fatal } = this.#session;
    if (fatal !== null) {
      reporter.note(`Stopped: ${explain(fatal)}`);
      return exitCodeOf(fatal);
    }
    const left = this.#planned.jobs.length - this.#made - this.#failed - this.#cancelled;
    if (this.#held !== null) return this.#sayHeld(this.#held);
    if (left === 0 && this.#cancelled > 0) {
      reporter.note(
        `${counted(this.#cancelled, 'picture')} cancelled; \`kilnwatt jobs retry\` has them made after all.`,
      );
      return EXIT.cancelled;
    }
    if (left === 0) return null;
    const why = interrupts.count() > 0 ? 'Interrupted' : 'Somebody else took the rest of the run out';
    reporter.note(
      `${why}; the same command${this.#planned.run.named ? '' : ' without --new'} goes on where it stopped.`,
    );
    return EXIT.interrupted;
  }

  #sayHeld(reason: string): number {
    const { name, named } = this.#planned.run;
    this.#options.reporter.note(
      `Held: ${reason}. Try another --preset or model; the same command${named ? '' : ' without --new'} goes on with ${name}.`,
    );
    return EXIT.someFailed;
  }
}

const TAKE_OVER_EVERY_MS: Millis = 1_000;
const LOOK_AFTER_EVERY_MS: Millis = 5_000;

function cutOffNote({ id, name }: RunRow, thisRun: string): string {
  return id === thisRun
    ? `the run ${name} had been cut off`
    : `the run ${name} had been cut off; its command goes on with it`;
}
