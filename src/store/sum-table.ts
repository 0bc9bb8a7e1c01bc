import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LedgerRow, LedgerSpan, LedgerSum, SumKey } from '../ports.ts';
import { SUM_KEYS } from '../ports-ledger.ts';
import { METHODS } from '../units.ts';
import type { SlotRange } from './protocol.ts';
import { LEDGER_KINDS } from './quarters.ts';
import { integerOf, numberOf, numberOrNull, oneOf, type Row, recordOf, stringsOf, textOf, textOrNull } from './row.ts';

/** Reads all that the ledger holds: sums by quarters of an hour, which triggers keep, and single rows. */
export class SumTable {
  readonly #db: DatabaseSync;
  readonly #sums = new Map<string, StatementSync>();
  readonly #slots: StatementSync;
  readonly #page: StatementSync;
  readonly #row: StatementSync;
  readonly #last: Readonly<Record<'all' | 'charges', StatementSync>>;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#slots = db.prepare('SELECT min(slot) AS first, max(slot) AS last FROM sums WHERE slot >= ? AND slot < ?');
    this.#page = db.prepare(
      `SELECT * FROM ledger WHERE seq > :after AND ${ENDED} >= :from AND ${ENDED} < :to ORDER BY seq LIMIT :limit`,
    );
    this.#row = db.prepare('SELECT * FROM ledger WHERE id = ?');
    const last = (view: string) => db.prepare(`SELECT * FROM ${view} ORDER BY seq DESC LIMIT ?`);
    this.#last = { all: last('ledger'), charges: last('charged') };
  }

  /** Of the quarters of an hour in the span that hold anything; null where none does. */
  slots({ from, to }: LedgerSpan): SlotRange | null {
    const row = this.#slots.get(from, to) ?? {};
    const first = numberOrNull(row, 'first');
    return first === null ? null : { first, last: integerOf(row, 'last') };
  }

  sums({ from, to }: LedgerSpan, by: readonly SumKey[]): readonly LedgerSum[] {
    return Array.from(this.#summing(by).iterate(from, to), sumOf);
  }

  page({ from, to }: LedgerSpan, after: number, limit: number): readonly LedgerRow[] {
    return this.#page.all({ from, to, after, limit }).map(rowOf);
  }

  row(id: string): LedgerRow | undefined {
    const row = this.#row.get(id);
    return row === undefined ? undefined : rowOf(row);
  }

  last(limit: number, of: 'all' | 'charges'): readonly LedgerRow[] {
    return this.#last[of].all(limit).map(rowOf).reverse();
  }

  /** Each choice of keys is one statement, made when it is first asked for. */
  #summing(by: readonly SumKey[]): StatementSync {
    const text = sumText(by);
    const made = this.#sums.get(text) ?? this.#db.prepare(text);
    this.#sums.set(text, made);
    return made;
  }
}

/** When the time of a row ended, as the sums have it; see the step that makes them. */
const ENDED = 'coalesce(max(from_at, to_at - 1), at)';

const ALWAYS = ['kind', 'cause', 'currency', 'energy_method', 'cost_method'] as const;

/** Money leaves as text, because it may exceed 2^53. */
function sumText(by: readonly SumKey[]): string {
  const asked = SUM_KEYS.filter((key) => by.includes(key));
  const columns = SUM_KEYS.map((key) => (asked.includes(key) ? key : `NULL AS ${key}`));
  return `
    SELECT ${[...columns, ...ALWAYS].join(', ')}, sum(entries) AS entries, sum(energy_mj) AS energy_mj,
      CASE count(bound_mj) WHEN count(*) THEN sum(bound_mj) END AS bound_mj, sum(untold) AS untold, sum(untold_mj) AS untold_mj, CAST(sum(cost_nano) AS TEXT) AS nano,
      sum(seconds) AS seconds,
      coalesce(sum(squares), 0.0) AS squares, CAST(min(least_nano) AS TEXT) AS least, CAST(max(most_nano) AS TEXT) AS most
    FROM ${by.includes('run') ? 'sums_of_runs' : 'sums'} WHERE slot >= ? AND slot < ? GROUP BY ${[...asked, ...ALWAYS].join(', ')}`;
}

function sumOf(row: Row): LedgerSum {
  return {
    slot: numberOrNull(row, 'slot'),
    service: keyOf(row, 'service'),
    model: keyOf(row, 'model'),
    preset: keyOf(row, 'preset'),
    run: keyOf(row, 'run'),
    tags: keyOf(row, 'tags'),
    gpu: keyOf(row, 'gpu'),
    kind: oneOf(row, 'kind', LEDGER_KINDS),
    cause: keyOf(row, 'cause'),
    currency: textOf(row, 'currency'),
    energyMethod: oneOf(row, 'energy_method', METHODS),
    costMethod: oneOf(row, 'cost_method', METHODS),
    entries: integerOf(row, 'entries'),
    millijoules: numberOrNull(row, 'energy_mj'),
    bound: numberOrNull(row, 'bound_mj'),
    untold: integerOf(row, 'untold'),
    untoldMillijoules: integerOf(row, 'untold_mj'),
    nano: nanoOrNull(row, 'nano'),
    seconds: numberOf(row, 'seconds'),
    squares: numberOf(row, 'squares'),
    leastNano: nanoOrNull(row, 'least'),
    mostNano: nanoOrNull(row, 'most'),
  };
}

/** Null where it was not asked for, or the rows have none. */
function keyOf(row: Row, column: string): string | null {
  const text = textOrNull(row, column);
  return text === '' ? null : text;
}

function nanoOrNull(row: Row, column: string): bigint | null {
  const text = textOrNull(row, column);
  return text === null ? null : BigInt(text);
}

function rowOf(row: Row): LedgerRow {
  return {
    id: textOf(row, 'id'),
    seq: integerOf(row, 'seq'),
    at: integerOf(row, 'at'),
    kind: oneOf(row, 'kind', LEDGER_KINDS),
    cause: textOrNull(row, 'cause'),
    service: textOf(row, 'service'),
    resource_type: textOf(row, 'resource_type'),
    quantity: numberOrNull(row, 'quantity'),
    unit_cost: numberOrNull(row, 'unit_cost'),
    total_cost: numberOrNull(row, 'total_cost'),
    currency: textOf(row, 'currency'),
    cost_method: oneOf(row, 'cost_method', METHODS),
    energy_mj: numberOrNull(row, 'energy_mj'),
    bound_mj: numberOrNull(row, 'bound_mj'),
    energy_method: oneOf(row, 'energy_method', METHODS),
    meter: textOf(row, 'meter'),
    flags: stringsOf(row, 'flags'),
    price: textOrNull(row, 'price'),
    run_id: textOrNull(row, 'run_id'),
    job_id: textOrNull(row, 'job_id'),
    batch_id: textOrNull(row, 'batch_id'),
    gpu: textOrNull(row, 'gpu'),
    from_at: numberOrNull(row, 'from_at'),
    to_at: numberOrNull(row, 'to_at'),
    device: textOrNull(row, 'device'),
    model: textOrNull(row, 'model'),
    preset: textOrNull(row, 'preset'),
    seconds: numberOf(row, 'seconds'),
    tags: recordOf<string>(row, 'tags', 'string'),
    corrects: textOrNull(row, 'corrects'),
  };
}
