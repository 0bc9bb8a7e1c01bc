import { sentenceOf } from '../errors.ts';
import type { JobRow } from '../ports.ts';
import { openIn, type PlannedRun } from '../submission.ts';
import type { Millis } from '../units.ts';
import { CheapRest } from './cheap-rest.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { counted } from './figures.ts';
import { follow } from './follow.ts';
import type { Herald } from './herald.ts';
import { onceItCan } from './patience.ts';
import { failureOf, imageOf, jobOf } from './run-events.ts';
import { announce, heldBy, type RunSessionOptions, reportEarlier } from './run-plan.ts';
import type { SummaryParts } from './run-summary.ts';
import type { Session } from './session.ts';

/** From the submission until everything is settled, the user stops it, or nothing can go on. */
export class Making {
  readonly #options: RunSessionOptions;
  readonly #session: Session;
  readonly #planned: PlannedRun;
  readonly #waitingFor: Set<string>;
  readonly herald: Herald;
  readonly #cheap: CheapRest;
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
    const { app, prices, reporter } = options;
    const { waits } = session;
    this.#cheap = new CheapRest({
      job: planned.jobs[0],
      waits,
      tariff: prices.tariff,
      clock: app.clock,
      herald,
      reporter,
    });
  }

  /** What this command has seen, how long it has waited for cheap electricity, and the store's sequence at its beginning. */
  get counts(): Pick<SummaryParts, 'made' | 'failed' | 'since' | 'waited'> {
    const { jobs, since } = this.#planned;
    const waited = this.#cheap.seconds;
    return { made: this.#made, failed: this.#failed, since: jobs.length > 0 ? since : null, waited };
  }

  /** The exit code if it is not told by the counts alone. Whoever is away has been told what there is to tell. */
  async toTheEnd(): Promise<number | null> {
    try {
      await this.#begin();
      await this.#follow();
      const left = this.#waitingFor.size > 0 && this.#held === null;
      const detached = left && !this.#session.works && this.#session.fatal === null;
      if (detached) return this.#sayDetached();
      await this.#session.stop();
      await this.#takeOut();
      if (await this.#isOver()) await this.herald.finished();
      return this.#ending();
    } catch (error) {
      await this.#giveUp().catch((second: unknown) => this.#options.reporter.note(sentenceOf(second)));
      throw error;
    } finally {
      await this.herald.told();
    }
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
    this.#cheap.look();
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
      goOn: (found) => this.#goOn(found),
    });
    for await (const row of rows) this.#report(row);
  }

  #report(row: JobRow): void {
    const { reporter } = this.#options;
    this.herald.changed(row);
    if (row.state === 'done') {
      this.#made += 1;
      this.#cheap.worked();
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

  async #goOn(found: number): Promise<boolean> {
    const { app, reporter } = this.#options;
    reporter.tick();
    if (this.#session.fatal !== null || this.#options.interrupts.count() > 0) return this.#windDown(found);
    await this.#session.attend();
    if (this.#session.rests) this.herald.paused('hours', null);
    else this.herald.resumed('hours');
    this.#cheap.look();
    this.herald.look(this.#waitingFor.size);
    const now = app.clock.monotonic();
    if (now >= this.#nextLook) {
      this.#nextLook = now + (this.#session.works ? LOOK_AFTER_EVERY_MS : TAKE_OVER_EVERY_MS);
      await this.#session.tend();
      const store = await app.store();
      await onceItCan(async () => {
        this.#held = (await store.run(this.#planned.run.id))?.held ?? null;
      });
      if (this.#held !== null) this.herald.paused('held', this.#held);
    }
    return this.#held === null || this.#windDown(found);
  }

  /** After the first Ctrl-C, or a fatal error: an owner finishes its batches, whose pictures are still to be reported; a client leaves at once. */
  async #windDown(found: number): Promise<boolean> {
    if (!this.#session.works) return false;
    if (this.#stopping === null) {
      if (this.#session.fatal === null && this.#held === null)
        this.#options.reporter.note('Finishing the running batch; Ctrl-C again stops now.');
      this.#stopping = this.#session.stop().then(() => this.#takeOut());
      await this.#stopping;
      return true;
    }
    // What is left after the last of them is served: others make it, and it is not waited for.
    return found > 0;
  }

  /** Only what this command still waits for: what was settled and is tried again since is not its own. */
  async #takeOut(): Promise<void> {
    if (this.#waitingFor.size === 0) return;
    await this.#session.interrupt(heldBy(this.#options.app, this.#planned), [...this.#waitingFor]);
  }

  async #giveUp(): Promise<void> {
    await this.#session.stop();
    await this.#takeOut();
  }

  /** Whether nothing of the run is left to make. Pictures that no line asks for any more stay interrupted for ever. */
  async #isOver(): Promise<boolean> {
    if (this.#left > 0) return false;
    const counts = (await (await this.#options.app.store()).run(this.#planned.run.id))?.counts;
    return counts === undefined || openIn(counts) === 0;
  }

  get #left(): number {
    return this.#planned.jobs.length - this.#made - this.#failed - this.#cancelled;
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
    const left = this.#left;
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
