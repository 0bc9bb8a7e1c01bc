import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Chain, LedgerSpan, Mark, NewMark } from '../ports.ts';
import { integerOf, numberOrNull, oneOf, type Row, textOf, textOrNull } from './row.ts';

/** The rows of `marks`: what the meters of each card said. Only ever added to. */
export class MarkTable {
  readonly #known: StatementSync;
  readonly #insert: StatementSync;
  readonly #cards: StatementSync;
  readonly #booked: StatementSync;
  readonly #open: StatementSync;
  readonly #page: StatementSync;

  constructor(db: DatabaseSync) {
    // By itself SQLite would go through all marks of the card.
    this.#known = db.prepare(
      `SELECT 1 FROM marks INDEXED BY marks_by_time
       WHERE gpu = ? AND at = ? AND launch = ? AND doing = ? AND batch_id IS ?`,
    );
    this.#insert = db.prepare(
      `INSERT INTO marks (gpu, number, at, launch, counter_mj, integral_mj, integral_bound_mj, "foreign", doing, batch_id)
       VALUES (:gpu, (SELECT 1 + coalesce(max(number), 0) FROM marks WHERE gpu = :gpu), :at, :launch, :counter, :integral,
         :bound, :foreign, :doing, :batch)`,
    );
    this.#cards = db.prepare(CARDS);
    this.#booked = db.prepare(
      `SELECT * FROM marks WHERE gpu = :gpu AND at <= max(
         coalesce((SELECT max(to_at) FROM stretches WHERE gpu = :gpu), -1),
         coalesce((SELECT max(to_at) FROM entries WHERE gpu = :gpu), -1))
       ORDER BY at DESC, number DESC LIMIT 1`,
    );
    this.#open = db.prepare(
      'SELECT * FROM marks WHERE gpu = :gpu AND (at, number) > (:at, :number) ORDER BY at, number',
    );
    this.#page = db.prepare(
      `SELECT * FROM marks WHERE gpu = :gpu AND at >= :from AND at < :to AND (at, number) > (:at, :number)
       ORDER BY at, number LIMIT :limit`,
    );
  }

  /** A mark gets the next number of its card, unless it is there. Must be called inside a transaction. */
  add(mark: NewMark): void {
    const { gpu, at, launch, counter, integral, foreign, after, batchId } = mark;
    if (this.#known.get(gpu, at, launch, after, batchId) !== undefined) return;
    const read = { counter, integral: integral?.millijoules ?? null, bound: integral?.bound ?? null, foreign };
    this.#insert.run({ gpu, at, launch, ...read, doing: after, batch: batchId });
  }

  chains(): readonly Chain[] {
    return this.#cards.all().map((row) => this.#chainOf(textOf(row, 'gpu')));
  }

  page(gpu: string, { from, to }: LedgerSpan, after: Mark | null, limit: number): readonly Mark[] {
    const { at, number } = after ?? START;
    return this.#page.all({ gpu, from, to, at, number, limit }).map(markOf);
  }

  #chainOf(gpu: string): Chain {
    const row = this.#booked.get({ gpu });
    const booked = row === undefined ? null : markOf(row);
    const { at, number } = booked ?? START;
    return { gpu, booked, open: this.#open.all({ gpu, at, number }).map(markOf) };
  }
}

/** Before every mark. */
const START = { at: -1, number: 0 };

/** One jump along the index for each card: there are millions of marks. */
const CARDS = `
  WITH RECURSIVE cards (gpu) AS (
    SELECT min(gpu) FROM marks
    UNION ALL
    SELECT (SELECT min(gpu) FROM marks WHERE gpu > cards.gpu) FROM cards WHERE gpu IS NOT NULL)
  SELECT gpu FROM cards WHERE gpu IS NOT NULL`;

const DOINGS = ['off', 'rest', 'resident', 'work', 'load', 'batch'] as const;

function markOf(row: Row): Mark {
  const millijoules = numberOrNull(row, 'integral_mj');
  return {
    gpu: textOf(row, 'gpu'),
    number: integerOf(row, 'number'),
    at: integerOf(row, 'at'),
    launch: textOf(row, 'launch'),
    counter: numberOrNull(row, 'counter_mj'),
    integral: millijoules === null ? null : { millijoules, bound: integerOf(row, 'integral_bound_mj') },
    foreign: numberOrNull(row, 'foreign'),
    after: oneOf(row, 'doing', DOINGS),
    batchId: textOrNull(row, 'batch_id'),
  };
}
