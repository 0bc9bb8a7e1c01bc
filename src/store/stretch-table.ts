import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BatchBooking, Stretch } from '../ports.ts';
import { decimalOf, METHODS, nanoOf } from '../units.ts';
import type { Changes } from './changes.ts';
import { METERS } from './entry-table.ts';
import { integerOf, numberOrNull, oneOf, type Row, stringsOf, textOf, textOrNull } from './row.ts';

/** The rows of `stretches`: what cards did beside the windows of batches. Only ever added to. */
export class StretchTable {
  readonly #changes: Changes;
  readonly #known: StatementSync;
  readonly #insert: StatementSync;
  readonly #booked: StatementSync;
  readonly #lost: StatementSync;

  constructor(db: DatabaseSync, changes: Changes) {
    this.#changes = changes;
    this.#known = db.prepare('SELECT 1 FROM stretches WHERE id = ?');
    this.#insert = db.prepare(
      `INSERT INTO stretches (id, seq, gpu, from_at, to_at, kind, cause, batch_id, energy_mj, bound_mj, energy_method, meter,
         flags, cost_nano, currency, cost_method, price, corrects)
       VALUES (:id, :seq, :gpu, :from, :to, :kind, :cause, :batch, :energy, :bound, :method, :meter,
         :flags, :nano, :currency, :costMethod, :price, :corrects)`,
    );
    this.#booked = db.prepare(
      `SELECT batch_id, sum(entries) AS entries, coalesce(sum(energy_mj), 0) AS energy_mj,
           coalesce(sum(CASE WHEN entries = 1 AND gpu IS NULL THEN energy_mj END), 0) AS adopted_mj FROM (
         SELECT batch_id, 1 AS entries, energy_mj, gpu FROM entries WHERE batch_id IN (SELECT value FROM json_each(:ids))
         UNION ALL
         SELECT batch_id, 0, energy_mj, gpu FROM stretches WHERE batch_id IN (SELECT value FROM json_each(:ids)))
       GROUP BY batch_id`,
    );
    this.#lost = db.prepare(
      `SELECT *, CAST(cost_nano AS TEXT) AS nano FROM stretches
       WHERE batch_id = ? AND cause = 'lost' AND corrects IS NULL
       ORDER BY coalesce(energy_mj, 0) > 0 DESC, to_at DESC, seq DESC LIMIT 1`,
    );
  }

  /** Adds the stretch unless it is there. Must be called inside a transaction. */
  book(stretch: Stretch): void {
    if (this.#known.get(stretch.id) !== undefined) return;
    const { id, gpu, from, to, kind, cause, batchId, millijoules, bound, method, meter, cost, price, corrects } =
      stretch;
    this.#insert.run({
      id,
      seq: this.#changes.take(1) + 1,
      gpu,
      from,
      to,
      kind,
      cause,
      batch: batchId,
      energy: millijoules,
      bound,
      method,
      meter,
      flags: JSON.stringify(stretch.flags),
      nano: cost.amount === null ? null : nanoOf(cost.amount),
      currency: cost.currency,
      costMethod: cost.method,
      price,
      corrects,
    });
  }

  bookedOf(batchIds: readonly string[]): ReadonlyMap<string, BatchBooking> {
    const rows = this.#booked.all({ ids: JSON.stringify(batchIds) });
    return new Map(
      rows.map((row): [string, BatchBooking] => {
        const id = textOf(row, 'batch_id');
        const lost = this.#lost.get(id);
        const [millijoules, adopted] = [integerOf(row, 'energy_mj'), integerOf(row, 'adopted_mj')];
        const entries = integerOf(row, 'entries');
        return [id, { millijoules, adopted, entries, lost: lost === undefined ? null : stretchOf(lost) }];
      }),
    );
  }
}

function stretchOf(row: Row): Stretch {
  const nano = textOrNull(row, 'nano');
  return {
    id: textOf(row, 'id'),
    gpu: textOf(row, 'gpu'),
    from: integerOf(row, 'from_at'),
    to: integerOf(row, 'to_at'),
    kind: oneOf(row, 'kind', KINDS),
    cause: oneOf(row, 'cause', CAUSES),
    batchId: textOrNull(row, 'batch_id'),
    millijoules: numberOrNull(row, 'energy_mj'),
    bound: numberOrNull(row, 'bound_mj'),
    method: oneOf(row, 'energy_method', METHODS),
    meter: oneOf(row, 'meter', METERS),
    // The text is what this table itself wrote from a stretch.
    flags: stringsOf(row, 'flags') as Stretch['flags'],
    cost: {
      amount: nano === null ? null : decimalOf(BigInt(nano)),
      currency: textOf(row, 'currency'),
      method: oneOf(row, 'cost_method', METHODS),
    },
    price: textOf(row, 'price'),
    corrects: textOrNull(row, 'corrects'),
  };
}

const KINDS = ['overhead', 'idle', 'foreign', 'unknown'] as const satisfies readonly Stretch['kind'][];
const CAUSES = [
  'lost',
  'compile',
  'warmup',
  'resident',
  'no_context',
  'between',
  'process',
  'load',
  'shared',
  'off',
  'unread',
] as const satisfies readonly Stretch['cause'][];
