import { copyFileSync, cpSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Kiln } from '../support/kiln.ts';
import { type Account, type AccountAsk, accountOf } from './account.ts';
import { gather } from './evidence.ts';
import { Ledger } from './ledger.ts';

const JOBS = 6;

/** One run that went well. Each test spoils its pictures, or a copy of its store. */
let kiln: Kiln;
let run: string;
let outputs: string;
let folder: string;

beforeAll(async () => {
  kiln = new Kiln();
  outputs = join(kiln.work, 'outputs');
  const prompts = Array.from({ length: JOBS }, (_, at) => `thing ${at}`).join('\n');
  const ended = await kiln.run(['run', kiln.write('p.txt', prompts), '--pattern', '{index}', '--json']);
  expect(ended.code, ended.stderr).toBe(0);
  run = String(Kiln.events(ended)[0]?.run);
});
afterAll(() => kiln.close());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'account-'));
  copyFileSync(join(kiln.data, 'kilnwatt.sqlite'), join(folder, 'store'));
  cpSync(outputs, join(folder, 'pictures'), { recursive: true });
  new Ledger(join(folder, 'ledger')).acknowledge({ run, jobs: JOBS });
});
afterEach(() => {
  rmSync(outputs, { recursive: true });
  cpSync(join(folder, 'pictures'), outputs, { recursive: true });
  rmSync(folder, { recursive: true });
});

describe('the account', () => {
  it('closes where nothing is wrong', async () => {
    expect(await account()).toEqual({ ...CLEAN, faults: [] });
  });

  it('misses a job whose picture is gone', async () => {
    rmSync(picture(3));
    expect(await account()).toMatchObject({ completed: JOBS - 1, missing: 1, faults: [`missing: ${job(3)}`] });
  });

  it('misses a job that nobody works on, and one that the store has never heard of', async () => {
    spoil("UPDATE jobs SET state = 'interrupted' WHERE idx = 2");
    new Ledger(join(folder, 'ledger')).acknowledge({ run: 'lost', jobs: 1 });
    expect(await account()).toMatchObject({ acknowledged: JOBS + 1, completed: JOBS - 1, missing: 2, unbooked: 1 });
  });

  it('sees a job that has two pictures', async () => {
    copyFileSync(picture(1), join(outputs, 'again.png'));
    expect(await account()).toMatchObject({ completed: JOBS, doubled: 1, faults: [`doubled: ${job(1)}`] });
  });

  it('sees a job that has two active entries', async () => {
    spoil(
      'DROP INDEX one_active_entry_a_job',
      'CREATE TEMP TABLE again AS SELECT * FROM entries WHERE job_id IS NOT NULL LIMIT 1',
      "UPDATE again SET id = 'again'",
      'INSERT INTO entries SELECT * FROM again',
    );
    expect(await account()).toMatchObject({ completed: JOBS, doubled: 1 });
  });

  it('sees a picture that ends too early, although its metadata is whole', async () => {
    truncateSync(picture(2), 1_500);
    expect(await account()).toMatchObject({ torn: 1, missing: 1, completed: JOBS - 1 });
  });

  it('sees a picture that does not say whose it is', async () => {
    writeFileSync(join(outputs, 'foreign.png'), ONE_PIXEL);
    expect(await account()).toMatchObject({ torn: 1, completed: JOBS });
  });

  it('tells a failure that was planted from one that was not', async () => {
    neverMade([4, 5], "state = 'failed', error_code = 'worker_died', error_message = 'it died'");
    expect(await account({ poison: new Set([job(4), job(6)]) })).toMatchObject({
      failed_with_reason: 2,
      missing: 0,
      faults: [`failed_neighbours: ${job(5)}`, `poison_completed: ${job(6)}`],
    });
  });

  it('takes a job for cancelled that somebody asked about, and misses one that nobody did', async () => {
    neverMade([2, 3], "state = 'cancelled'");
    const asked = new Set([job(2), job(4)]);
    expect(await account({ askedToCancel: asked, saidToBeCancelled: asked })).toMatchObject({
      completed: JOBS - 2,
      cancelled: 1,
      missing: 1,
      faults: [`missing: ${job(3)}`],
    });
  });

  it('sees a job that was said to be cancelled and is still open', async () => {
    spoil("UPDATE jobs SET state = 'queued' WHERE idx = 2");
    const asked = new Set([job(2)]);
    const found = await account({ askedToCancel: asked, saidToBeCancelled: asked });
    expect(found).toMatchObject({ missing: 1, not_as_cancelled: 1 });
  });

  it('misses a failed job that has no reason', async () => {
    spoil("UPDATE jobs SET state = 'failed' WHERE idx = 4");
    expect(await account()).toMatchObject({ failed_with_reason: 0, missing: 1 });
  });

  it('sees what a death left lying about, and jobs that nobody was told of', async () => {
    writeFileSync(join(outputs, '.x.part'), '');
    rmSync(join(folder, 'ledger'));
    expect(await account()).toMatchObject({ acknowledged: 0, leftovers: 1, unacknowledged: JOBS });
  });

  it('counts a job again for each further batch that it was in, and allows one batch a death', async () => {
    const begun = new Map([
      [job(1), new Set(['lost-1', 'lost-2'])],
      [job(2), new Set(['lost-1'])],
    ]);
    expect(await account({ begun, deaths: 1 })).toMatchObject({ recomputed: 3, faults: [] });
    expect((await account({ begun, deaths: 0 })).faults).toEqual(['recomputed: 3, and 0 deaths explain 0 at most']);
  });
});

/** Batches hold four where nobody says otherwise. */
const CLEAN: Account = {
  acknowledged: JOBS,
  completed: JOBS,
  failed_with_reason: 0,
  cancelled: 0,
  missing: 0,
  doubled: 0,
  torn: 0,
  recomputed: 0,
  retried_for_memory: 0,
  given_up: 0,
  remade_black: 0,
  deaths: 0,
  largest_batch: 4,
  failed_neighbours: 0,
  poison_completed: 0,
  unacknowledged: 0,
  not_as_cancelled: 0,
  unbooked: 0,
  leftovers: 0,
  faults: [],
};

const ONE_PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
);

async function account(ask: Partial<AccountAsk> = {}): Promise<Account> {
  return accountOf({
    acknowledged: new Ledger(join(folder, 'ledger')).ids,
    poison: new Set(),
    evidence: await gather(join(folder, 'store'), outputs),
    begun: new Map(),
    deaths: 0,
    ...ask,
  });
}

function spoil(...statements: readonly string[]): void {
  const database = new DatabaseSync(join(folder, 'store'));
  for (const statement of statements) database.exec(statement);
  database.close();
}

/** As if these jobs had ended in another way: without picture and entry. @param end what their rows say, as SQL sets it */
function neverMade(indices: readonly number[], end: string): void {
  for (const index of indices) rmSync(picture(index));
  spoil(
    `UPDATE jobs SET ${end} WHERE idx IN (${indices.join()})`,
    'DROP TRIGGER entries_are_never_deleted',
    `DELETE FROM entries WHERE job_id IN (${indices.map((index) => `'${job(index)}'`).join()})`,
  );
}

function job(index: number): string {
  return `${run}-00000${index}`;
}

function picture(index: number): string {
  return join(outputs, `${index}.png`);
}
