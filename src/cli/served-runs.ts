import { type Rest, Watch } from '../notify/watch.ts';
import type { JobRow, RunRow, Store } from '../ports.ts';
import { openIn } from '../submission.ts';
import type { EpochMillis } from '../units.ts';
import type { App } from './app.ts';
import { zoneAt } from './cheap.ts';
import { counted } from './figures.ts';
import { Herald } from './herald.ts';
import { onceItCan } from './patience.ts';
import { pricesOf } from './prices.ts';
import { failureOf, imageOf } from './run-events.ts';

interface Followed {
  run: RunRow;
  readonly herald: Herald;
  seen: number;
  /** At the last look no command followed it that has a user of its own to tell, and tells of its end. */
  alone: boolean;
}

/** What a server says of the runs that it works off: on its output, and to whoever is away. */
export class ServedRuns {
  readonly #app: App;
  readonly #json: boolean;
  readonly #followed = new Map<string, Followed>();
  readonly #telling = new Set<Promise<void>>();
  readonly #rests = new Map<Rest, string | null>();
  /** By run, until when it waits for cheap electricity. */
  readonly #waits = new Map<string, EpochMillis>();
  #seen = 0;

  constructor({ app, json }: { readonly app: App; readonly json: boolean }) {
    this.#app = app;
    this.#json = json;
  }

  /** What was settled before is not told again. */
  async begin(): Promise<void> {
    const store = await this.#app.store();
    this.#seen = await store.sequence();
    await this.#follow(store, this.#seen);
  }

  /** To be called now and then. Where the store cannot be read now, the next look finds the same. */
  async look(): Promise<void> {
    const store = await this.#app.store();
    await onceItCan(async () => {
      const before = this.#seen;
      const latest = await store.sequence();
      if (latest > before) await this.#follow(store, before);
      this.#seen = latest;
    });
    this.#endWaits();
    for (const followed of this.#followed.values()) {
      followed.alone ||= !this.#app.isAlive(followed.run.launch);
      followed.herald.look(openIn(followed.run.counts));
    }
  }

  /** All of them rest. @param why as `Watch.paused` has it */
  paused(rest: Rest, why: string | null): void {
    this.#rests.set(rest, why);
    for (const { herald } of this.#followed.values()) herald.paused(rest, why);
  }

  resumed(rest: Rest): void {
    this.#rests.delete(rest);
    for (const { herald } of this.#followed.values()) herald.resumed(rest);
  }

  /** Jobs of the run wait for cheap electricity. */
  waits(runId: string, until: EpochMillis): void {
    this.#waits.set(runId, until);
    const followed = this.#followed.get(runId);
    if (followed !== undefined) this.#sayWaits(followed, until);
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
      await this.#tellChanges(store, followed);
      const now = open.find(({ id }) => id === followed.run.id);
      if (now === undefined) await this.#finish(store, followed);
      else this.#goOn(followed, now);
    }
  }

  #goOn(followed: Followed, now: RunRow): void {
    const before = followed.run;
    followed.run = now;
    if (now.launch !== before.launch) followed.alone = !this.#app.isAlive(now.launch);
    if (now.held !== null && before.held === null) this.#sayHeld(followed, now.held);
    if (now.held === null && before.held !== null) followed.herald.resumed('held');
  }

  #sayHeld({ run: { name }, herald }: Followed, reason: string): void {
    herald.paused('held', reason);
    this.#app.io.err(`${name} is held: ${reason}; \`kilnwatt runs resume ${name}\` goes on`);
  }

  #sayWaits({ run: { name }, herald }: Followed, until: EpochMillis): void {
    const { clock, io, loaded } = this.#app;
    herald.paused('cheap', null);
    io.err(`${name} waits for ${zoneAt(pricesOf(loaded.config).tariff, until, clock.now())}`);
  }

  #endWaits(): void {
    for (const [runId, until] of this.#waits) {
      if (this.#app.clock.now() < until) continue;
      this.#waits.delete(runId);
      this.#followed.get(runId)?.herald.resumed('cheap');
    }
  }

  #meet(run: RunRow, store: Store, since: number): void {
    if (this.#followed.has(run.id)) return;
    const { clock, loaded } = this.#app;
    const stalledAfter = loaded.config.notify.stalledMinutes * 60_000;
    const watch = new Watch({ clock, stalledAfter, failedBefore: run.counts.failed > 0 });
    const notifier = this.#app.notifier(null);
    const herald = new Herald({ run, store, clock, watch, notifier, isWanted: () => followed.alone });
    const followed = { run, herald, seen: since, alone: !this.#app.isAlive(run.launch) };
    this.#followed.set(run.id, followed);
    for (const [rest, why] of this.#rests) herald.paused(rest, why);
    // Whoever held it told of it.
    if (run.held !== null) herald.paused('held', null);
    if (!this.#json) this.#app.io.out(`${run.name}: ${counted(openIn(run.counts), 'picture')} to make`);
    const until = this.#waits.get(run.id);
    if (until !== undefined) this.#sayWaits(followed, until);
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
    const line = await herald.line();
    const counts = (await store.run(run.id))?.counts ?? run.counts;
    this.#followed.delete(run.id);
    this.#waits.delete(run.id);
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
