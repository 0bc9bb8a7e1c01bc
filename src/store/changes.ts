import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { integerOf } from './row.ts';

/**
 * The counter that numbers every change of a job and every entry. Numbers are taken inside a write
 * transaction, so whoever has seen number n has seen all that is below it.
 */
export class Changes {
  readonly #latest: StatementSync;
  readonly #advance: StatementSync;

  constructor(db: DatabaseSync) {
    this.#latest = db.prepare('SELECT latest FROM changes');
    this.#advance = db.prepare('UPDATE changes SET latest = latest + ? RETURNING latest');
  }

  latest(): number {
    return integerOf(this.#latest.get() ?? {}, 'latest');
  }

  /** Reserves `count` numbers; returns the one before the first of them. */
  take(count: number): number {
    return integerOf(this.#advance.get(count) ?? {}, 'latest') - count;
  }
}
