import { noticeLine } from '../cost/line.ts';
import { sentenceOf } from '../errors.ts';
import type { Due, Rest, Watch } from '../notify/watch.ts';
import type { Clock, JobRow, JobState, Notifier, RunRow, Store } from '../ports.ts';

export interface HeraldOptions {
  readonly run: Pick<RunRow, 'id' | 'name'>;
  readonly store: Store;
  readonly clock: Pick<Clock, 'now'>;
  readonly watch: Watch;
  readonly notifier: Notifier;
  /** Asked before each notice. */
  isWanted(): boolean;
}

/** Tells whoever is away what becomes of one run. */
export class Herald {
  readonly #options: HeraldOptions;
  /** One after another, so that a deaf receiver is not called twice at once. */
  #telling: Promise<void> = Promise.resolve();
  /** What became of the job that was settled last. */
  #last: JobState | null = null;

  constructor(options: HeraldOptions) {
    this.#options = options;
  }

  changed(row: JobRow): void {
    if (SETTLED.has(row.state)) this.#last = row.state;
    if (row.state === 'failed' || row.state === 'done') this.#tell(this.#options.watch.settled(row.error));
    else if (row.state === 'running') this.moved();
  }

  /** Something goes on, if not of this run: it has not stalled. */
  moved(): void {
    this.#options.watch.moved();
  }

  paused(rest: Rest, why: string | null): void {
    this.#tell(this.#options.watch.paused(rest, why));
  }

  resumed(rest: Rest): void {
    this.#options.watch.resumed(rest);
  }

  look(left: number): void {
    this.#tell(this.#options.watch.look(left));
  }

  /**
   * Nothing of the run is left to make. That is told unless its end was that somebody took the rest out. Resolves when
   * everything has been told.
   */
  async finished(): Promise<void> {
    if (this.#last === null || !TAKEN_OUT.has(this.#last)) this.#tell(this.#options.watch.finished());
    await this.#telling;
  }

  /** Resolves when everything has been told. */
  async told(): Promise<void> {
    await this.#telling;
  }

  /** The run on one line. A store that cannot be read now costs the figures, and nothing else. */
  async line(why: string | null = null): Promise<string> {
    try {
      return await this.#line(why);
    } catch (error) {
      return `${why === null ? '' : `${why}; `}its figures cannot be read now (${sentenceOf(error)})`;
    }
  }

  /** Of the whole run, whichever processes made it. */
  async #line(why: string | null): Promise<string> {
    const { store, run, clock } = this.#options;
    const row = await store.run(run.id);
    const total = Object.values(row?.counts ?? {}).reduce((sum, count) => sum + count, 0);
    const seconds = row === undefined ? 0 : Math.max(0, clock.now() - row.createdAt) / 1000;
    const totals = await store.totals(run.id, 0);
    const { done = 0, failed = 0 } = row?.counts ?? {};
    return noticeLine({ done, total, failed, totals, seconds }, why);
  }

  #tell(due: Due | null): void {
    if (due === null || !this.#options.isWanted()) return;
    const { run, notifier } = this.#options;
    this.#telling = this.#telling.then(async () => {
      await notifier.tell({ kind: due.kind, run: { id: run.id, name: run.name }, line: await this.line(due.why) });
    });
  }
}

const SETTLED: ReadonlySet<JobState> = new Set(['done', 'failed', 'cancelled', 'interrupted']);
const TAKEN_OUT: ReadonlySet<JobState> = new Set(['cancelled', 'interrupted']);
