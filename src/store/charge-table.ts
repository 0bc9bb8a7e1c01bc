import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Charge, PriceSnapshot } from '../ports.ts';
import { nanoOf } from '../units.ts';
import type { Changes } from './changes.ts';
import { integerOf, textOf } from './row.ts';
import { tagsText } from './tags.ts';

/** The rows of `charges` and `prices`. Only ever added to; writes must be called inside a transaction. */
export class ChargeTable {
  readonly #changes: Changes;
  readonly #known: StatementSync;
  readonly #insert: StatementSync;
  readonly #keep: StatementSync;
  readonly #price: StatementSync;

  constructor(db: DatabaseSync, changes: Changes) {
    this.#changes = changes;
    this.#known = db.prepare('SELECT 1 FROM charges WHERE id = ?');
    this.#insert = db.prepare(
      `INSERT INTO charges (id, seq, at, kind, service, resource_type, quantity, unit_cost, cost_nano, currency, cost_method,
         meter, tags, corrects)
       VALUES (:id, :seq, :at, :kind, :service, :resourceType, :quantity, :unitCost, :nano, :currency, :method,
         :meter, :tags, :corrects)`,
    );
    this.#keep = db.prepare(
      'INSERT INTO prices (id, at, source, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING',
    );
    this.#price = db.prepare('SELECT id, at, source, body FROM prices WHERE id = ?');
  }

  /** False where it was there already. */
  book({ amount, tags, ...charge }: Charge): boolean {
    if (this.#known.get(charge.id) !== undefined) return false;
    const written = { nano: nanoOf(amount), tags: tagsText(tags) };
    this.#insert.run({ ...charge, ...written, seq: this.#changes.take(1) + 1 });
    return true;
  }

  keep({ id, at, source, body }: PriceSnapshot): void {
    this.#keep.run(id, at, source, body);
  }

  price(id: string): PriceSnapshot | undefined {
    const row = this.#price.get(id);
    if (row === undefined) return undefined;
    return { id, at: integerOf(row, 'at'), source: textOf(row, 'source'), body: textOf(row, 'body') };
  }
}
