import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Chain, LedgerSpan, Mark, NewMark } from '../ports.ts';
import { DOINGS } from './migration-ledger.ts';
import { integerOf, numberOrNull, type Row, textOf, textOrNull } from './row.ts';

/** The rows of `marks`: what the meters of each card said. Only ever added to. */
export class MarkTable {
  readonly #cards: Names;
  readonly #launches: Names;
  readonly #known: StatementSync;
  readonly #insert: StatementSync;
  readonly #booked: StatementSync;
  readonly #open: StatementSync;
  readonly #page: StatementSync;

  constructor(db: DatabaseSync) {
    this.#cards = new Names(db, 'cards', 'gpu');
    this.#launches = new Names(db, 'launches', 'launch');
    this.#known = db.prepare(
      `SELECT 1 FROM marks WHERE card_id = :card AND at = :at AND launch_id = :launch AND doing = :doing
         AND batch_id IS :batch`,
    );
    this.#insert = db.prepare(
      `INSERT INTO marks (card_id, number, at, launch_id, counter_mj, integral_mj, integral_bound_mj, "foreign", doing, batch_id)
       VALUES (:card, (SELECT last_mark + 1 FROM cards WHERE id = :card), :at, :launch, :counter, :integral,
         :bound, :foreign, :doing, :batch)`,
    );
    this.#booked = db.prepare(
      `${TOLD} AND at <= max(
         coalesce((SELECT max(to_at) FROM stretches WHERE gpu = :gpu), -1),
         coalesce((SELECT max(to_at) FROM entries WHERE gpu = :gpu), -1))
       ORDER BY at DESC, number DESC LIMIT 1`,
    );
    this.#open = db.prepare(`${TOLD} AND (at, number) > (:at, :number) ORDER BY at, number`);
    this.#page = db.prepare(
      `${TOLD} AND at >= :from AND at < :to AND (at, number) > (:at, :number) ORDER BY at, number LIMIT :limit`,
    );
  }

  /** A mark gets the next number of its card, unless it is there. Must be called inside a transaction. */
  add(mark: NewMark): void {
    const { gpu, at, launch, counter, integral, foreign, after, batchId } = mark;
    const names = { card: this.#cards.kept(gpu), launch: this.#launches.kept(launch) };
    const identity = { ...names, at, doing: DOINGS.indexOf(after), batch: batchId };
    if (this.#known.get(identity) !== undefined) return;
    const read = { counter, integral: integral?.millijoules ?? null, bound: integral?.bound ?? null, foreign };
    this.#insert.run({ ...identity, ...read });
  }

  chains(): readonly Chain[] {
    return this.#cards.all().map((gpu) => this.#chainOf(gpu));
  }

  page(gpu: string, { from, to }: LedgerSpan, after: Mark | null, limit: number): readonly Mark[] {
    const card = this.#cards.known(gpu);
    if (card === undefined) return [];
    const { at, number } = after ?? START;
    // From there on, because SQLite begins its search at the one bound or the other.
    const place = { from: Math.max(from, at), at, number };
    return this.#page.all({ card, to, limit, ...place }).map((row) => markOf(gpu, row));
  }

  #chainOf(gpu: string): Chain {
    const card = this.#cards.known(gpu) ?? 0;
    const row = this.#booked.get({ card, gpu });
    const booked = row === undefined ? null : markOf(gpu, row);
    const { at, number } = booked ?? START;
    return { gpu, booked, open: this.#open.all({ card, at, number }).map((open) => markOf(gpu, open)) };
  }
}

/** Numbers that stand for long names. */
class Names {
  readonly #column: string;
  readonly #insert: StatementSync;
  readonly #number: StatementSync;
  readonly #names: StatementSync;

  constructor(db: DatabaseSync, table: 'cards' | 'launches', column: string) {
    this.#column = column;
    this.#insert = db.prepare(`INSERT INTO ${table} (${column}) VALUES (?)`);
    this.#number = db.prepare(`SELECT id FROM ${table} WHERE ${column} = ?`);
    this.#names = db.prepare(`SELECT ${column} FROM ${table} ORDER BY ${column}`);
  }

  /** Keeps one that is new. */
  kept(name: string): number {
    return this.known(name) ?? Number(this.#insert.run(name).lastInsertRowid);
  }

  known(name: string): number | undefined {
    const row = this.#number.get(name);
    return row === undefined ? undefined : integerOf(row, 'id');
  }

  all(): readonly string[] {
    return this.#names.all().map((row) => textOf(row, this.#column));
  }
}

/** Before every mark. */
const START = { at: -1, number: 0 };

/** CROSS: marks first, a range of one card in its order. */
const TOLD = 'SELECT marks.*, launch FROM marks CROSS JOIN launches ON launches.id = launch_id WHERE card_id = :card';

function markOf(gpu: string, row: Row): Mark {
  const millijoules = numberOrNull(row, 'integral_mj');
  return {
    gpu,
    number: integerOf(row, 'number'),
    at: integerOf(row, 'at'),
    launch: textOf(row, 'launch'),
    counter: numberOrNull(row, 'counter_mj'),
    integral: millijoules === null ? null : { millijoules, bound: integerOf(row, 'integral_bound_mj') },
    foreign: numberOrNull(row, 'foreign'),
    after: doingOf(integerOf(row, 'doing')),
    batchId: textOrNull(row, 'batch_id'),
  };
}

function doingOf(place: number): Mark['after'] {
  const doing = DOINGS[place];
  if (doing === undefined) throw new Error(`a mark of the ledger says ${place}, which is nothing that a card does`);
  return doing;
}
