import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LearnedLimit, Owner, Pause } from '../ports.ts';
import type { Changes } from './changes.ts';
import { integerOf, numberOrNull, textOf, textOrNull } from './row.ts';

/** What one process tells another through the store, and what was learned. Writes must be called inside a transaction. */
export class ControlTable {
  readonly #changes: Changes;
  readonly #read: StatementSync;
  readonly #pause: StatementSync;
  readonly #own: StatementSync;
  readonly #limits: StatementSync;
  readonly #learn: StatementSync;
  readonly #forget: StatementSync;

  constructor(db: DatabaseSync, changes: Changes) {
    this.#changes = changes;
    this.#read = db.prepare('SELECT * FROM control');
    this.#pause = db.prepare('UPDATE control SET pause_since = :since, pause_until = :until, pause_now = :now');
    this.#own = db.prepare('UPDATE control SET owner_launch = :launch, owner_serves = :serves');
    this.#limits = db.prepare('SELECT * FROM learned_limits');
    this.#learn = db.prepare(
      'INSERT OR REPLACE INTO learned_limits VALUES (:device, :model, :engine, :shape, :limit, :at)',
    );
    this.#forget = db.prepare('DELETE FROM learned_limits WHERE :device IS NULL OR device = :device');
  }

  pause(): Pause | null {
    const row = this.#read.get() ?? {};
    const since = numberOrNull(row, 'pause_since');
    if (since === null) return null;
    return { since, until: numberOrNull(row, 'pause_until'), now: integerOf(row, 'pause_now') === 1 };
  }

  /** A change that whoever works has to see. */
  setPause(pause: Pause | null): void {
    this.#changes.take(1);
    this.#pause.run({ since: pause?.since ?? null, until: pause?.until ?? null, now: pause?.now === true ? 1 : 0 });
  }

  endPause({ since, until }: Pause): void {
    const now = this.pause();
    if (now?.since === since && now.until === until) this.setPause(null);
  }

  owner(): Owner | null {
    const row = this.#read.get() ?? {};
    const launch = textOrNull(row, 'owner_launch');
    return launch === null ? null : { launch, serves: integerOf(row, 'owner_serves') === 1 };
  }

  setOwner({ launch, serves }: Owner): void {
    this.#own.run({ launch, serves: serves ? 1 : 0 });
  }

  limits(): readonly LearnedLimit[] {
    return this.#limits.all().map((row) => ({
      device: textOf(row, 'device'),
      model: textOf(row, 'model'),
      engine: textOf(row, 'engine'),
      shape: textOf(row, 'shape'),
      limit: integerOf(row, 'most'),
      at: integerOf(row, 'at'),
    }));
  }

  learn({ device, model, engine, shape, limit, at }: LearnedLimit): void {
    this.#learn.run({ device, model, engine, shape, limit, at });
  }

  forgetLimits(device: string | null): number {
    return Number(this.#forget.run({ device }).changes);
  }
}
