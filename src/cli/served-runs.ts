import { Watch } from '../notify/watch.ts';
import type { JobRow, RunRow, Store } from '../ports.ts';
import type { App } from './app.ts';
import { counted } from './figures.ts';
import { Herald } from './herald.ts';
import { failureOf, imageOf } from './run-events.ts';

interface Followed {
  readonly run: RunRow;
  readonly herald: Herald;
  seen: number;
}

const OPEN = ['submitting', 'queued', 'running'] as const;

/** What a server says of the runs that it works off: on its output, and to whoever is away. */
export class ServedRuns {
  readonly #app: App;
  readonly #json: boolean;
  readonly #followed = new Map<string, Followed>();
  readonly #telling = new Set<Promise<void>>();
  #seen = 0;
  #pausedFor: string | null = null;

  constructor({ app, json }: { readonly app: App; readonly json: boolean }) {
    this.#app = app;
    this.#json = json;
  }

  /** What was settled before is not told again. */
  async begin(): Promise<void> {
    this.#seen = await (await this.#app.store()).sequence();
    await this.#follow(await this.#app.store(), this.#seen);
  }

  /** To be called now and then. */
  async look(): Promise<void> {
    const store = await this.#app.store();
    const before = this.#seen;
    this.#seen = await store.sequence();
    if (this.#seen > before) await this.#follow(store, before);
    for (const { herald, run } of this.#followed.values()) herald.look(leftOf(run));
  }

  paused(why: string): void {
    this.#pausedFor = why;
    for (const { herald } of this.#followed.values()) herald.paused(why);
  }

  resumed(): void {
    this.#pausedFor = null;
    for (const { herald } of this.#followed.values()) herald.resumed();
  }

  /** Waits for what is still being told. */
  async end(): Promise<void> {
    await Promise.all(this.#telling);
  }

  async #follow(store: Store, before: number): Promise<void> {
    const open = await store.openRuns();
    for (const run of open) this.#meet(run, store, before);
    for (const { herald } of this.#followed.values()) herald.moved();
    for (const followed of [...this.#followed.values()]) {
      const now = open.find(({ id }) => id === followed.run.id);
      await this.#tellChanges(store, followed);
      if (now === undefined) await this.#finish(store, followed);
      else this.#followed.set(now.id, { ...followed, run: now });
      if (now?.held != null && followed.run.held === null) this.#sayHeld(now, now.held);
      if (now?.held === null && followed.run.held !== null) followed.herald.resumed();
    }
  }

  #sayHeld({ id, name }: RunRow, reason: string): void {
    this.#followed.get(id)?.herald.paused(reason);
    this.#app.io.err(`${name} is held: ${reason}; \`kilnwatt runs resume ${name}\` goes on`);
  }

  #meet(run: RunRow, store: Store, since: number): void {
    if (this.#followed.has(run.id)) return;
    const { clock, loaded } = this.#app;
    const stalledAfter = loaded.config.notify.stalledMinutes * 60_000;
    const watch = new Watch({ clock, stalledAfter, failedBefore: run.counts.failed > 0 });
    const herald = new Herald({
      run,
      since,
      store,
      clock,
      watch,
      notifier: this.#app.notifier(null),
      // Whoever follows it has a user of its own to tell.
      isWanted: () => !this.#app.isAlive(run.launch),
    });
    this.#followed.set(run.id, { run, herald, seen: since });
    if (this.#pausedFor !== null) herald.paused(this.#pausedFor);
    if (!this.#json) this.#app.io.out(`${run.name}: ${counted(leftOf(run), 'picture')} to make`);
  }

  async #tellChanges(store: Store, followed: Followed): Promise<void> {
    for (;;) {
      const rows = await store.changedSince(followed.run.id, followed.seen);
      for (const row of rows) this.#tell(row, followed);
      followed.seen = rows.at(-1)?.seq ?? followed.seen;
      if (rows.length === 0) return;
    }
  }

  #tell(row: JobRow, { run, herald }: Followed): void {
    herald.changed(row);
    const { io } = this.#app;
    if (row.state === 'failed') {
      const { code, message } = failureOf(row);
      io.out(this.#json ? JSON.stringify(failureOf(row)) : `${run.name}/${row.index} failed: ${code}: ${message}`);
    } else if (row.state === 'done' && this.#json) {
      io.out(JSON.stringify(imageOf(row, false, row.path)));
    }
  }

  async #finish(store: Store, { run, herald }: Followed): Promise<void> {
    this.#followed.delete(run.id);
    const line = await herald.line();
    const counts = (await store.run(run.id))?.counts ?? run.counts;
    const { io } = this.#app;
    io.out(
      this.#json
        ? JSON.stringify({ event: 'finished', run: run.id, name: run.name, counts, line })
        : `${run.name}: ${line}`,
    );
    // Not waited for now: a receiver that takes its time must not hold up the others.
    const telling = herald.finished().finally(() => this.#telling.delete(telling));
    this.#telling.add(telling);
  }
}

function leftOf({ counts }: RunRow): number {
  return OPEN.reduce((sum, state) => sum + counts[state], 0);
}
