import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/ports.ts';
import { inTransaction, openDatabase } from '../../src/store/database.ts';
import { storageErrorOf } from '../../src/store/failure.ts';
import { MarkTable } from '../../src/store/mark-table.ts';
import { APPLICATION_ID, MIGRATIONS } from '../../src/store/migrations.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { PYTHON } from '../support/python.ts';
import { chargeOf, markAt, stretchOf } from './ledger-samples.ts';
import { activeEntry, receiptOf } from './samples.ts';

const EVER = { from: 0, to: Number.POSITIVE_INFINITY };
const UNKNOWN = { amount: null, currency: 'EUR', method: 'unknown' } as const;

describe('the ledger in the database file', () => {
  let path: string;
  let store: Store;

  beforeEach(async () => {
    path = join(mkdtempSync(join(tmpdir(), 'kilnwatt-store-')), 'store.db');
    store = await openSqliteStore({ path, clock: Date });
  });

  afterEach(async () => {
    await store.close();
    rmSync(join(path, '..'), { recursive: true });
  });

  const sql = <T>(use: (db: DatabaseSync) => T): T => {
    const db = new DatabaseSync(path);
    try {
      return use(db);
    } finally {
      db.close();
    }
  };

  const bookOfEach = async () => {
    const entry = activeEntry('r1', 'r1-000000', 'b-1', { id: 'e1' });
    await store.settle({ batchId: 'b-1', at: 1, entries: [entry], jobs: [] });
    await store.meter({ marks: [markAt(10)], stretches: [stretchOf(0, 2_000, { millijoules: 3_600_000 })] });
    await store.charge([chargeOf('c1', { quantity: 2, unitCost: 5 })]);
    await store.keepPrice({ id: 'p1', at: 1, source: 'config', body: '{}' });
  };

  it('refuses to change or delete anything that was booked, whoever tries', async () => {
    await bookOfEach();
    sql((db) => {
      const columns = {
        marks: 'at',
        cards: 'gpu',
        launches: 'launch',
        stretches: 'to_at',
        charges: 'at',
        prices: 'at',
      };
      for (const [table, column] of Object.entries(columns)) {
        expect(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()).toEqual({ n: 1 });
        expect(() => db.exec(`UPDATE ${table} SET ${column} = 0`)).toThrow('append-only');
        expect(() => db.exec(`DELETE FROM ${table}`)).toThrow('append-only');
      }
    });
  });

  it('shows pictures, stretches and charges as one table of costs, and as one table with everything', async () => {
    await bookOfEach();
    const [costs, rows] = sql((db) => [
      db.prepare('SELECT * FROM costs ORDER BY timestamp').all(),
      db.prepare('SELECT * FROM ledger ORDER BY seq').all(),
    ]);
    expect(costs.map(({ timestamp, service, resource_type }) => [timestamp, service, resource_type])).toEqual([
      ['1970-01-01T00:00:01.000Z', 'local', 'electricity'],
      ['1970-01-01T00:00:02.000Z', 'electricity', 'electricity'],
      ['1970-01-01T00:00:05.000Z', 'midjourney', 'subscription'],
    ]);
    expect(costs[1]).toMatchObject({ quantity: 0.001, total_cost: 0.000000075, kind: 'idle', cause: 'resident' });
    expect(costs[2]).toMatchObject({ quantity: 2, unit_cost: 5, total_cost: 10, currency: 'USD', kind: 'charge' });
    const told = await store.ledger(EVER, 0, 10);
    expect(rows.map((row) => Object.keys(row))).toEqual(told.map((row) => Object.keys(row)));
  });

  it("is read with the host's own tools, which may be years older than ours", async () => {
    await bookOfEach();
    await store.charge([chargeOf('c2', { tags: { kind: 'x', client: 'acme' } })]);
    const read = 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall())';
    const ask = (query: string) => execFileSync(PYTHON, ['-c', read, path, query], { encoding: 'utf8' }).trim();
    expect(ask('SELECT count(*), count(DISTINCT service) FROM costs')).toBe('[(4, 3)]');
    expect(ask('PRAGMA integrity_check')).toBe("[('ok',)]");
    // SQLite reads the whole schema first, and that of this Python may be young by now.
    expect(sql((db) => db.prepare("SELECT name FROM sqlite_schema WHERE sql LIKE '%json_group%'").all())).toEqual([]);
  });

  it('shows marks with the names that numbers stand for in their table', async () => {
    await store.meter({
      marks: [markAt(10), markAt(20, { gpu: 'GPU-2', after: 'load', batchId: 'b' })],
      stretches: [],
    });
    const rows = sql((db) =>
      db.prepare('SELECT gpu, number, at, launch, doing, batch_id FROM journal ORDER BY at').all(),
    );
    expect(rows).toEqual([
      { gpu: 'GPU-1', number: 1, at: 10, launch: 'launch-a', doing: 'resident', batch_id: null },
      { gpu: 'GPU-2', number: 1, at: 20, launch: 'launch-a', doing: 'load', batch_id: 'b' },
    ]);
  });

  it('takes at most 50 bytes for a mark, of which a card has three million in a year', async () => {
    const db = openDatabase(path);
    const table = new MarkTable(db);
    const size = () => Number(db.prepare('PRAGMA page_count').get()?.page_count) * 4096;
    const before = size();
    const launch = '0197b4c2-6a1f-7c3e-9d2b-5f4e3d2c1b0a';
    inTransaction(db, () => {
      for (let number = 0; number < 20_000; number++) {
        const gpu = `GPU-c0ffee00-0000-4000-8000-00000000000${number % 2}`;
        const integral = { millijoules: 250_000 + (number % 977), bound: 30_000 + (number % 89) };
        const at = Date.UTC(2026, 10, 30) + Math.floor(number / 2) * 10_000;
        table.add(markAt(at, { gpu, launch, counter: 5_000_000_000 + number * 250_000, integral }));
      }
    });
    const bytes = (size() - before) / 20_000;
    const plan = db.prepare("EXPLAIN QUERY PLAN SELECT * FROM journal WHERE gpu = 'GPU-1' ORDER BY at, number").all();
    db.close();
    expect(bytes).toBeLessThan(50);
    expect(JSON.stringify(plan)).not.toContain('TEMP B-TREE');
  });

  it('refuses a stretch that breaks a rule, with the marks that came with it', async () => {
    const wrong = [
      stretchOf(0, 10, { millijoules: -1 }),
      stretchOf(0, 10, { millijoules: null }),
      stretchOf(0, 10, { cost: { ...UNKNOWN, method: 'measured' } }),
      stretchOf(0, 10, { cost: { ...UNKNOWN, amount: 1 } }),
      stretchOf(0, 10, { kind: 'foreign', cause: 'resident' }),
      stretchOf(10, 0),
    ];
    for (const stretch of wrong) {
      const booking = store.meter({ marks: [markAt(1)], stretches: [stretch] });
      await expect(booking).rejects.toMatchObject({ name: 'StorageError', code: 'internal' });
    }
    await expect(store.meter({ marks: [markAt(1, { after: 'batch' })], stretches: [] })).rejects.toThrow('CHECK');
    expect(await store.chains()).toEqual([]);
    expect(await store.sums(EVER, [])).toEqual([]);
  });

  it('refuses a charge that breaks a rule, with those that came with it', async () => {
    const wrong = [
      chargeOf('c2', { amount: -1 }),
      chargeOf('c2', { kind: 'credit', amount: 1 }),
      chargeOf('c2', { kind: 'correction' }),
      chargeOf('c2', { method: 'unknown' }),
    ];
    for (const charge of wrong) {
      await expect(store.charge([chargeOf('c1'), charge])).rejects.toThrow('CHECK');
    }
    expect(await store.ledger(EVER, 0, 10)).toEqual([]);
  });

  it('sums what another program writes into it as well', async () => {
    await bookOfEach();
    sql((db) => {
      db.exec('CREATE TEMP TABLE copy AS SELECT * FROM stretches');
      db.exec("UPDATE copy SET id = 'another', seq = 1000");
      db.exec('INSERT INTO stretches SELECT * FROM copy');
    });
    const idle = (await store.sums(EVER, [])).filter(({ kind }) => kind === 'idle');
    expect(idle).toMatchObject([{ entries: 2, millijoules: 7_200_000, nano: 150n, seconds: 4 }]);
  });

  it('waits for another process that writes, while the event loop goes on', async () => {
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    let booked = false;
    const booking = bookOfEach().then(() => {
      booked = true;
    });
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    expect(booked).toBe(false);
    other.exec('COMMIT');
    other.close();
    await booking;
    expect(await store.sums(EVER, [])).toHaveLength(3);
  });

  it('that outgrows the disk keeps its chain as it was', async () => {
    await store.meter({ marks: [markAt(10)], stretches: [stretchOf(0, 10)] });
    const before = await store.chains();
    const db = openDatabase(path);
    const pages = db.prepare('PRAGMA page_count').get()?.page_count;
    db.exec(`PRAGMA max_page_count = ${String(pages)}`);
    const marks = new MarkTable(db);
    let thrown: unknown;
    try {
      inTransaction(db, () => {
        for (let at = 11; at < 2_000; at++) marks.add(markAt(at));
      });
    } catch (error) {
      thrown = error;
    }
    db.close();
    expect(storageErrorOf(thrown, path)).toMatchObject({ name: 'StorageError', code: 'disk_full' });
    expect(await store.chains()).toEqual(before);
    await store.meter({ marks: [markAt(20)], stretches: [] });
    expect(await store.marksOf('GPU-1', EVER, null, 10)).toMatchObject([{ number: 1 }, { number: 2 }]);
  });

  it('of the version before is summed with all that it holds, tags in the order of their names', async () => {
    const old = join(path, '..', 'old.db');
    writeOldLedger(old);
    const opened = await openSqliteStore({ path: old, clock: Date });
    try {
      expect(await opened.sums(EVER, ['slot', 'run', 'tags', 'gpu'])).toMatchObject([
        {
          ...{ slot: 900_000, run: 'r1', tags: '{"client":"acme","kind":"x"}', gpu: null, kind: 'active', cause: null },
          ...{ entries: 3, millijoules: 3_000, nano: 6n, leastNano: 1n, mostNano: 3n, seconds: 4.5, bound: null },
        },
      ]);
      expect(await opened.ledger(EVER, 0, 10)).toMatchObject([{ from_at: null }, { from_at: null }, { from_at: null }]);
      const receipt = receiptOf('b', { model: 'm', cost: { amount: 1, currency: 'EUR', method: 'derived' } });
      const entry = activeEntry('r1', 'r1-000009', 'b', { receipt, at: 900_001 });
      await opened.settle({ batchId: 'b', at: 1, entries: [entry], jobs: [] });
      expect(await opened.sums(EVER, ['run'])).toHaveLength(2);
      expect(await opened.check()).toMatchObject([{ status: 'ok' }]);
    } finally {
      await opened.close();
    }
  });
});

/** Three pictures, as the schema was before it had marks. */
function writeOldLedger(path: string): void {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID};
    CREATE TABLE migrations (version INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    ${MIGRATIONS.slice(0, 5).join('\n')}
    INSERT INTO migrations VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)`);
  const insert = db.prepare(
    `INSERT INTO entries (id, seq, at, kind, run_id, job_id, batch_id, batch_size, provider, device, engine, preset, model,
       seconds_share, seconds_batch, seconds_method, peak_memory_method, energy_mj, energy_method, meter, flags, cost_nano,
       currency, cost_method, price, tags)
     VALUES (?, ?, 900000, 'active', 'r1', ?, 'b', 3, 'local', 'cpu', 'e', 'auto', 'm', 1.5, 4.5, 'measured', 'unknown', 1000,
       'measured', 'model', '[]', ?, 'EUR', 'derived', 'p', ?)`,
  );
  for (const number of [1, 2, 3]) {
    const tags = number === 2 ? '{"kind":"x","client":"acme"}' : '{"client":"acme","kind":"x"}';
    insert.run(`e${number}`, number, `r1-00000${number}`, number, tags);
  }
  db.exec('UPDATE changes SET latest = 3');
  db.close();
}
