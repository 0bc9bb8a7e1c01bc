import type { Prices } from '../cost/receipt.ts';
import { InputError, sentenceOf } from '../errors.ts';
import type { Job, JobRow, RunRow } from '../ports.ts';
import { type Ask, type PlannedRun, planSubmission } from '../submission.ts';
import type { Millis } from '../units.ts';
import type { App, Interrupts } from './app.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { follow } from './follow.ts';
import { failureOf, imageOf, jobOf, type Reporter } from './run-events.ts';
import { summaryOf } from './run-summary.ts';
import { Session } from './session.ts';

export interface RunSessionOptions {
  readonly app: App;
  readonly ask: Ask;
  readonly prices: Prices;
  readonly reporter: Reporter;
  readonly dryRun: boolean;
  readonly interrupts: Interrupts;
}

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
    onProgress: () => reporter.tick(),
    onNote: (text) => reporter.note(text),
  });
  if (options.dryRun) return showPlan(await plan(options), reporter);
  await session.enter();
  const planned = await submitted(options, session);
  for (const run of session.cutOff) reporter.note(cutOffNote(run, planned.run.id));
  const making = new Making(options, session, planned);
  const end = await making.toTheEnd();
  reporter.event(
    await summaryOf({
      planned,
      ...making.counts,
      store: await app.store(),
      seconds: (app.clock.monotonic() - began) / 1000,
      currency: app.loaded.config.tariff.currency,
    }),
  );
  if (end !== null) return end;
  return making.counts.failed + planned.plan.failed.length > 0 ? EXIT.someFailed : EXIT.done;
}

async function plan({ app, ask }: RunSessionOptions): Promise<PlannedRun> {
  const { clock, models, images, launch, isAlive, randomSeed } = app;
  return planSubmission({ clock, models, images, launch, isAlive, randomSeed, store: await app.store() }, ask);
}

function showPlan(planned: PlannedRun, reporter: Reporter): number {
  announce(planned, reporter);
  for (const job of planned.jobs) reporter.event(jobOf(job, 'planned'));
  return EXIT.done;
}

/**
 * The plan, once it is in store and queue. Where nobody named the run, another process that took the name or the
 * interrupted run first is no reason to fail: the next plan finds that out and takes something else.
 */
async function submitted(options: RunSessionOptions, session: Session): Promise<PlannedRun> {
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

function heldBy({ launch }: App, { run }: PlannedRun): Pick<RunRow, 'id' | 'launch'> {
  return { id: run.id, launch };
}

/** From the submission until everything is settled, the user stops it, or nothing can go on. */
class Making {
  readonly #options: RunSessionOptions;
  readonly #session: Session;
  readonly #planned: PlannedRun;
  readonly #waitingFor: Set<string>;
  #nextLook: Millis = 0;
  #stopping: Promise<void> | null = null;
  #made = 0;
  #failed = 0;

  constructor(options: RunSessionOptions, session: Session, planned: PlannedRun) {
    this.#options = options;
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
    const detached = this.#waitingFor.size > 0 && !this.#session.works && this.#session.fatal === null;
    if (detached) return this.#sayDetached();
    await this.#session.stop();
    await this.#takeOut();
    return this.#ending();
  }

  async #begin(): Promise<void> {
    const { app, reporter } = this.#options;
    announce(this.#planned, reporter);
    await reportEarlier(app, this.#planned, reporter);
    for (const job of this.#planned.jobs) reporter.event(jobOf(job, 'queued'));
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
    if (row.state === 'done') {
      this.#made += 1;
      reporter.event(imageOf(row, false, row.path));
    } else if (row.state === 'failed') {
      this.#failed += 1;
      reporter.event(failureOf(row));
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
    const now = app.clock.monotonic();
    if (!this.#session.works && now >= this.#nextLook) {
      this.#nextLook = now + TAKE_OVER_EVERY_MS;
      await this.#session.takeOver();
    }
    return true;
  }

  /** After the first Ctrl-C, or a fatal error: an owner finishes its batches, whose pictures are still to be reported; a client leaves at once. */
  async #windDown(): Promise<boolean> {
    if (!this.#session.works) return false;
    if (this.#stopping === null) {
      if (this.#session.fatal === null)
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
    this.#options.reporter.note(
      `Left the run ${this.#planned.run.name}: the kilnwatt that owns this data folder goes on with it while it runs; ` +
        'the same command follows it again, or resumes it.',
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
    const left = this.#planned.jobs.length - this.#made - this.#failed;
    if (left === 0) return null;
    const why = interrupts.count() > 0 ? 'Interrupted' : 'Somebody else took the rest of the run out';
    reporter.note(
      `${why}; the same command${this.#planned.run.named ? '' : ' without --new'} goes on where it stopped.`,
    );
    return EXIT.interrupted;
  }
}

const TAKE_OVER_EVERY_MS: Millis = 1_000;

function cutOffNote({ id, name }: RunRow, thisRun: string): string {
  return id === thisRun
    ? `the run ${name} had been cut off`
    : `the run ${name} had been cut off; its command goes on with it`;
}

/** Looks before anything is queued: a disk that is full, or a folder that may not be written to. */
async function requireRoom(app: App, [first]: readonly Job[]): Promise<void> {
  if (first === undefined) return;
  const { target, id } = first;
  await app.images.discard(await app.images.prepare(target, id));
}

function announce(planned: PlannedRun, reporter: Reporter): void {
  const { run, plan } = planned;
  reporter.event({
    event: 'run',
    run: run.id,
    name: run.name,
    resumed: planned.existing !== null,
    jobs: planned.total,
    to_make: planned.jobs.length,
    cached: plan.done.length,
    failed: plan.failed.length,
    removed: plan.removed.length,
    out_dir: planned.folder,
  });
}

/** What was done or failed before; a picture that the user threw away has no path any more. */
async function reportEarlier(app: App, planned: PlannedRun, reporter: Reporter): Promise<void> {
  for (const row of planned.plan.done) {
    reporter.event(imageOf(row, true, (await app.images.exists(row.path)) ? row.path : null));
  }
  for (const row of planned.plan.failed) reporter.event(failureOf(row));
}
