import { noticeLine } from '../cost/line.ts';
import type { Due, Watch } from '../notify/watch.ts';
import type { Clock, JobRow, Notifier, RunRow, Store } from '../ports.ts';
import type { Millis } from '../units.ts';

export interface HeraldOptions {
  readonly run: Pick<RunRow, 'id' | 'name'>;
  /** The store's sequence from which on what is booked is on the bill. */
  readonly since: number;
  readonly store: Store;
  readonly clock: Clock;
  readonly watch: Watch;
  readonly notifier: Notifier;
  /** Asked before each notice. */
  isWanted(): boolean;
}

/** Tells whoever is away what becomes of one run. */
export class Herald {
  readonly #options: HeraldOptions;
  readonly #began: Millis;
  /** One after another, so that a deaf receiver is not called twice at once. */
  #telling: Promise<void> = Promise.resolve();

  constructor(options: HeraldOptions) {
    this.#options = options;
    this.#began = options.clock.monotonic();
  }

  changed(row: JobRow): void {
    if (row.state === 'failed' || row.state === 'done') this.#tell(this.#options.watch.settled(row.error));
    else if (row.state === 'running') this.moved();
  }

  /** Something goes on, if not of this run: it has not stalled. */
  moved(): void {
    this.#options.watch.moved();
  }

  paused(why: string | null): void {
    this.#tell(this.#options.watch.paused(why));
  }

  resumed(): void {
    this.#options.watch.resumed();
  }

  look(left: number): void {
    this.#tell(this.#options.watch.look(left));
  }

  /** Resolves when everything has been told. */
  async finished(): Promise<void> {
    this.#tell(this.#options.watch.finished());
    await this.#telling;
  }

  /** The run on one line. */
  async line(why: string | null = null): Promise<string> {
    const { store, run, since, clock } = this.#options;
    const counts = (await store.run(run.id))?.counts;
    const total = Object.values(counts ?? {}).reduce((sum, count) => sum + count, 0);
    const seconds = (clock.monotonic() - this.#began) / 1000;
    const totals = await store.totals(run.id, since);
    return noticeLine({ done: counts?.done ?? 0, total, failed: counts?.failed ?? 0, totals, seconds }, why);
  }

  #tell(due: Due | null): void {
    if (due === null || !this.#options.isWanted()) return;
    const { run, notifier } = this.#options;
    this.#telling = this.#telling.then(async () => {
      await notifier.tell({ kind: due.kind, run: { id: run.id, name: run.name }, line: await this.line(due.why) });
    });
  }
}
