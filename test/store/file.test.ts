import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import { openDatabase } from '../../src/store/database.ts';
import { storageErrorOf } from '../../src/store/failure.ts';
import { APPLICATION_ID, MIGRATIONS } from '../../src/store/migrations.ts';
import { Session } from '../../src/store/session.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { activeEntry, jobOf, madeIn, runWrite } from './samples.ts';

describe('the database file', () => {
  let folder: string;
  let path: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kilnwatt-store-'));
    path = join(folder, 'data', 'store.db');
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  const open = () => openSqliteStore({ path, clock: Date });
  const settled = async (): Promise<void> => {
    const store = await open();
    await store.writeRun(runWrite('r1', 3, { tags: { client: 'acme', kind: 'test' } }));
    const made = madeIn('b-1', 'r1', [0]);
    await store.settle({ ...made, entries: made.entries.map((entry) => ({ ...entry, tags: { kind: 'own' } })) });
    await store.close();
  };

  it('is made with its folder, and holds everything when it is opened again', async () => {
    await settled();
    const store = await open();
    expect((await store.jobsOf('r1')).map((row) => row.state)).toEqual(['done', 'submitting', 'submitting']);
    expect(await store.totals('r1', 0)).toMatchObject({ images: 1 });
    expect(await store.check()).toMatchObject([{ name: 'store', status: 'ok' }]);
    await store.close();
  });

  it('is one file when nobody has it open', async () => {
    await settled();
    expect(statSync(`${path}-wal`, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('waits for the disk at every commit', () => {
    const db = openDatabase(path);
    expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(db.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: 2 });
    expect(db.prepare('PRAGMA foreign_keys').get()).toEqual({ foreign_keys: 1 });
    db.close();
  });

  it('refuses to change or delete what the ledger says', async () => {
    await settled();
    const db = new DatabaseSync(path);
    expect(() => db.exec('UPDATE entries SET cost_nano = 0')).toThrow('append-only');
    expect(() => db.exec('DELETE FROM entries')).toThrow('append-only');
    db.close();
  });

  it('refuses a second active entry of a job, whoever writes it', async () => {
    await settled();
    const db = new DatabaseSync(path);
    db.exec('CREATE TEMP TABLE copy AS SELECT * FROM entries');
    db.exec("UPDATE copy SET id = 'another'");
    expect(() => db.exec('INSERT INTO entries SELECT * FROM copy')).toThrow('UNIQUE');
    db.close();
  });

  it('keeps whole nano-units and millijoules, the method, the price and all tags with each entry', async () => {
    await settled();
    const db = new DatabaseSync(path);
    expect(db.prepare('SELECT * FROM entries').get()).toMatchObject({
      energy_mj: 81251,
      energy_method: 'assumed',
      meter: 'model',
      flags: '["configured_watts"]',
      cost_nano: 6771,
      currency: 'EUR',
      cost_method: 'assumed',
      price: 'flat:0.3:EUR:default',
      tags: '{"client":"acme","kind":"own"}',
    });
    db.close();
  });

  it('shows the ledger as the table of costs that other tools know', async () => {
    await settled();
    const db = new DatabaseSync(path);
    const row = db
      .prepare('SELECT timestamp, service, resource_type, quantity, unit_cost, total_cost FROM costs')
      .get();
    expect(row).toMatchObject({
      timestamp: '1970-01-01T00:00:01.000Z',
      service: 'local',
      resource_type: 'electricity',
    });
    expect(row?.quantity).toBeCloseTo(81.251 / 3.6e6, 12);
    expect(row?.unit_cost).toBeCloseTo(0.3, 4);
    expect(row?.total_cost).toBe(0.000006771);
    db.close();
  });

  it('of an older kilnwatt is brought up to date, with its ledger, its rules and its table of costs', async () => {
    mkdirSync(dirname(path));
    const old = new DatabaseSync(path);
    old.exec(`PRAGMA application_id = ${APPLICATION_ID};
      CREATE TABLE migrations (version INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
      ${MIGRATIONS[0]} ${MIGRATIONS[1]}
      INSERT INTO migrations VALUES (1, 0), (2, 0);
      INSERT INTO runs VALUES ('r1', 'name of r1', 'content', 0, 1, 'launch-a', '/out', '{}');
      INSERT INTO entries VALUES ('e1', 1, 1000, 'active', NULL, 'r1', 'r1-000000', 'b', 1, 'local', 'cpu', 'e', 'auto', 'm',
        1.5, 1.5, 'measured', NULL, 'unknown', 3600000000, 'measured', 'nvml_counter', '[]', 300000000, 'EUR', 'derived',
        'p', '{}', '{"dtype":"float16"}')`);
    const { request, ...job } = jobOf('r1', 0);
    const payload = JSON.stringify({ ...job, request, priority: undefined, attempt: 0 });
    old
      .prepare("INSERT INTO jobs VALUES (?, 'r1', 0, 'line', 0, 1, 'done', '/out/a.png', NULL, NULL, 'b', 2, ?)")
      .run(job.id, payload);
    old.close();
    const store = await openSqliteStore({ path, clock: Date });
    expect(await store.run('r1')).toMatchObject({ served: false, held: null });
    expect(await store.job(job.id)).toMatchObject({
      priority: 'bulk',
      marks: CLEAN,
      receipt: { engine: 'e', settings: { dtype: 'float16' }, energy: { joules: 3_600_000 } },
    });
    expect(Object.keys((await store.job(job.id))?.receipt ?? {})).not.toContain('steps');
    await store.close();
    const now = new DatabaseSync(path);
    expect(now.prepare('SELECT service, quantity, total_cost FROM costs').all()).toEqual([
      { service: 'local', quantity: 1, total_cost: 0.3 },
    ]);
    expect(() => now.exec("UPDATE entries SET cost_nano = 1 WHERE id = 'e1'")).toThrow(/append-only/);
    expect(() => now.exec('DELETE FROM entries')).toThrow(/append-only/);
    now.close();
  });

  it('of a newer kilnwatt is refused with what to do', async () => {
    await settled();
    const db = new DatabaseSync(path);
    db.prepare('INSERT INTO migrations VALUES (?, 0)').run(MIGRATIONS.length + 1);
    db.close();
    await expect(open()).rejects.toMatchObject({ name: 'StorageError', code: 'store_newer' });
    await expect(open()).rejects.toThrow(`${path} was written by a newer kilnwatt`);
  });

  it('of another program is left as it is', async () => {
    const foreign = join(folder, 'foreign.db');
    const db = new DatabaseSync(foreign);
    db.exec('CREATE TABLE bookmarks (url TEXT)');
    db.close();
    const opening = openSqliteStore({ path: foreign, clock: Date });
    await expect(opening).rejects.toMatchObject({ name: 'StorageError', code: 'store_broken' });
    await expect(opening).rejects.toThrow(foreign);
    const after = new DatabaseSync(foreign);
    expect(after.prepare('SELECT name FROM sqlite_schema').all()).toEqual([{ name: 'bookmarks' }]);
    after.close();
  });

  it('that is no database at all is refused', async () => {
    const garbage = join(folder, 'garbage.db');
    writeFileSync(garbage, 'not a database, '.repeat(1000));
    await expect(openSqliteStore({ path: garbage, clock: Date })).rejects.toMatchObject({ code: 'store_broken' });
  });

  it('that was damaged is noticed by the check', async () => {
    const store = await open();
    await store.writeRun(runWrite('r1', 500));
    await store.close();
    const db = new DatabaseSync(path);
    const page = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'jobs_by_change'").get()?.rootpage;
    db.close();
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.alloc(4096, 0xff), 0, 4096, (Number(page) - 1) * 4096);
    closeSync(file);
    const damaged = await open();
    expect(await damaged.check()).toMatchObject([{ name: 'store', status: 'fail' }]);
    await damaged.close();
  });

  it('that cannot be made or opened is named with its path', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const impossible of [join(file, 'store.db'), folder]) {
      const opening = openSqliteStore({ path: impossible, clock: Date });
      await expect(opening).rejects.toMatchObject({ name: 'StorageError', code: 'not_writable' });
      await expect(opening).rejects.toThrow(impossible);
    }
  });

  it('that outgrows the disk says so, and keeps what it had', () => {
    const session = new Session(path);
    const { run, add } = runWrite('r1', 1000);
    session.beginRun(run, null, 1);
    session.commitRun();
    const before = session.sequence();
    session.close();

    const db = openDatabase(path);
    const pages = db.prepare('PRAGMA page_count').get()?.page_count;
    db.exec(`PRAGMA max_page_count = ${String(pages)}`);
    let thrown: unknown;
    try {
      db.exec('BEGIN IMMEDIATE');
      const insert = db.prepare("INSERT INTO settlements VALUES (?, 'b', 0)");
      for (const { job } of add) insert.run(`${job.id}${job.target}`);
    } catch (error) {
      thrown = error;
    }
    db.close();
    expect(storageErrorOf(thrown, path)).toMatchObject({ name: 'StorageError', code: 'disk_full' });
    expect(storageErrorOf(thrown, path).message).toContain(path);
    const after = new Session(path);
    expect(after.sequence()).toBe(before);
    after.close();
  });

  it('that may not grow for a while is waited for: the same connection writes again when it may', async () => {
    const script = 'trap \'\' XFSZ; ulimit -S -f 2048; exec "$0" "$@"';
    const program = join(import.meta.dirname, 'programs', 'persist.ts');
    const child = spawn('sh', ['-c', script, process.execPath, program, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect((await lines.next()).value).toMatch(/^mendable (io_error|disk_full)$/);
    child.stdin.write('again\n');
    expect((await lines.next()).value).toMatch(/^mendable/);
    execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']);
    child.stdin.write('again\n');
    expect((await lines.next()).value).toBe('taken');
    child.stdin.end();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('that another process holds for too long is worth another try', () => {
    const holder = openDatabase(path);
    holder.exec('BEGIN IMMEDIATE');
    const waiter = openDatabase(path);
    waiter.exec('PRAGMA busy_timeout = 1');
    let thrown: unknown;
    try {
      waiter.exec('BEGIN IMMEDIATE');
    } catch (error) {
      thrown = error;
    }
    holder.close();
    waiter.close();
    expect(storageErrorOf(thrown, path)).toMatchObject({ name: 'StorageError', code: 'store_busy', retryable: true });
  });

  it('books an unknown amount only as unknown', async () => {
    const store = await open();
    await store.writeRun(runWrite('r1', 1));
    const entry = activeEntry('r1', jobOf('r1', 0).id, 'b-1');
    const cost = { amount: null, currency: 'EUR', method: 'measured' } as const;
    const settlement = { ...madeIn('b-1', 'r1', [0]), entries: [{ ...entry, receipt: { ...entry.receipt, cost } }] };
    await expect(store.settle(settlement)).rejects.toMatchObject({ name: 'StorageError', code: 'internal' });
    expect((await store.jobsOf('r1'))[0]?.state).toBe('submitting');
    await store.close();
  });
});
