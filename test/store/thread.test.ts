import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/ports.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { StoreThread } from '../../src/store/store-thread.ts';
import { jobOf, madeIn, newJob, runWrite } from './samples.ts';

describe('the database thread', () => {
  let folder: string;
  let store: Store;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'kilnwatt-store-'));
    store = await openSqliteStore({ path: join(folder, 'store.db'), clock: Date });
  });

  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('writes ten thousand jobs in one transaction, and reads them back in pages', async () => {
    const began = performance.now();
    await store.writeRun(runWrite('r1', 10_000));
    const written = performance.now();
    let seen = 0;
    for (let seq = 0; ; ) {
      const page = await store.changedSince('r1', seq);
      if (page.length === 0) break;
      seen += page.length;
      seq = page.at(-1)?.seq ?? Number.NaN;
    }
    const followed = performance.now();
    console.log(
      `10,000 jobs: written in ${(written - began).toFixed(0)} ms, followed in ${(followed - written).toFixed(0)} ms`,
    );
    expect(seen).toBe(10_000);
    expect((await store.payloads('r1', ['submitting'])).length).toBe(10_000);
    expect(followed - began).toBeLessThan(30_000);
  });

  it('lets no other write into the transaction of a run, and loses none when that is undone', async () => {
    await store.writeRun(runWrite('r1', 1));
    const doomed = runWrite('r2', 1500);
    const twin = newJob(jobOf('r2', 0), 1500);
    const writing = store.writeRun({ ...doomed, add: [...doomed.add, twin] });
    const settling = store.settle(madeIn('b-1', 'r1', [0]));
    const counting = store.sequence();
    await expect(writing).rejects.toMatchObject({ name: 'StorageError' });
    await settling;
    expect(await counting).toBeGreaterThan(0);
    expect(await store.run('r2')).toBeUndefined();
    expect((await store.jobsOf('r1'))[0]?.state).toBe('done');
  });

  it('waits for another process alone, while the event loop goes on', async () => {
    await store.writeRun(runWrite('r1', 1));
    const other = new DatabaseSync(join(folder, 'store.db'));
    other.exec('BEGIN IMMEDIATE');
    let settled = false;
    const settling = store.settle(madeIn('b-1', 'r1', [0])).then(() => {
      settled = true;
    });
    for (let turn = 0; turn < 100; turn++) await nextTurn();
    expect(settled).toBe(false);
    other.exec('COMMIT');
    other.close();
    await settling;
    expect((await store.jobsOf('r1'))[0]?.state).toBe('done');
  });

  it('keeps the event loop free while batches are settled', async () => {
    await store.writeRun(runWrite('r1', 800));
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    for (let batch = 0; batch < 200; batch++) {
      await store.settle(
        madeIn(
          `b-${batch}`,
          'r1',
          [0, 1, 2, 3].map((place) => batch * 4 + place),
        ),
      );
    }
    delay.disable();
    const p99 = delay.percentile(99) / 1e6;
    console.log(
      `event loop delay while settling 200 batches: p50 ${(delay.percentile(50) / 1e6).toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`,
    );
    expect((await store.totals('r1', 0)).images).toBe(800);
    // The timer itself needs 1 to 2 ms; a commit that blocked the loop would show in every sample.
    expect(delay.percentile(50) / 1e6).toBeLessThan(5);
  });

  it('tells every waiting call when it ends, and every later one', async () => {
    const thread = new StoreThread();
    await thread.call('open', join(folder, 'other.db'));
    const other = new DatabaseSync(join(folder, 'other.db'));
    other.exec('BEGIN IMMEDIATE');
    // The first call waits for the other writer, and the second one for the first.
    const waiting = [thread.call('markQueued', 'r1'), thread.call('sequence')].map((call) =>
      expect(call).rejects.toMatchObject({ name: 'StorageError', code: 'store_gone' }),
    );
    const ended = thread.terminate();
    other.close();
    await Promise.all([ended, ...waiting]);
    await expect(thread.call('sequence')).rejects.toMatchObject({ code: 'store_gone' });
    expect(thread.gone()).toBe(true);
  });
});
