import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FakeScript } from '../../src/provider/fake.ts';
import { settled, Workshop, type WorkshopOptions } from './workshop.ts';

let folder: string;
let shops: Workshop[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pipeline-'));
});
afterEach(async () => {
  for (const shop of shops.splice(0)) await shop.stop();
  rmSync(folder, { recursive: true });
});

function workshop(script: FakeScript = {}, options: Partial<WorkshopOptions> = {}): Workshop {
  const shop = new Workshop({ folder, script, ...options });
  shops = [...shops, shop];
  return shop;
}

describe('work', () => {
  it('makes every picture once, with a receipt that is also in the picture', async () => {
    const shop = workshop();
    const rows = await shop.run(['a', 'b', 'c', 'd', 'e'], settled);
    expect(rows.map((row) => row.state)).toEqual(Array(5).fill('done'));
    for (const row of rows) expect(shop.images.pictures.get(row.path)?.kilnwatt.receipt).toEqual(row.receipt);
    expect(await shop.queue.ids()).toEqual([]);
  });

  it('fails the one prompt that fails, books what it took, and fails none of its neighbours', async () => {
    const shop = workshop({ failOn: 'poison', stepMillis: 40 });
    const rows = await shop.run(['a', 'poison', 'c'], settled);
    expect(rows.map((row) => row.state)).toEqual(['done', 'failed', 'done']);
    expect(rows[1]?.error?.code).toBe('black_image');
    const [run] = new Set(rows.map((row) => row.runId));
    const totals = await shop.store.totals(run ?? '', 0);
    expect(totals.images).toBe(2);
    expect(totals.overhead.seconds).toBeGreaterThan(0);
  });

  it('takes a picture that is on disk already into the ledger, instead of making it again', async () => {
    const shop = workshop();
    const [first, second] = await shop.run(['a', 'b'], settled);
    const again = workshop({}, { images: shop.images });
    const planned = await again.plan(['a', 'b']);
    const cutOff = shop.images.pictures.get(first?.path ?? '');
    expect(cutOff).toBeDefined();
    const [job] = planned.jobs;
    if (cutOff === undefined || job === undefined) return;
    shop.images.pictures.clear();
    shop.images.pictures.set(job.target, { ...cutOff, kilnwatt: { ...cutOff.kilnwatt, job: job.id, run: job.runId } });
    await again.submit(planned);
    again.work();
    const done = async () => (await again.store.jobsOf(planned.run.id)).every((row) => row.state === 'done');
    while (!(await done())) await again.pass();
    const [adopted, made] = await again.store.jobsOf(planned.run.id);
    expect(adopted?.receipt).toEqual(first?.receipt);
    expect(made?.receipt?.batch.size).toBe(1);
    expect(second?.receipt?.batch.size).toBe(2);
  });

  it('drops a job that the queue hands out again after it was made, as after a night in which the host slept', async () => {
    const shop = workshop();
    const planned = await shop.plan(['a', 'b']);
    await shop.submit(planned);
    shop.work();
    await shop.until(planned.run.id, settled);
    await shop.queue.add(planned.jobs);
    while ((await shop.queue.ids()).length > 0) await shop.pass();
    expect([...shop.images.pictures.values()].map(({ kilnwatt }) => kilnwatt.receipt.batch.id)).toEqual(
      Array(2).fill('launch-1'),
    );
  });

  it('drops a job that was interrupted in the store while it waited in the queue', async () => {
    const shop = workshop();
    const planned = await shop.plan(['a', 'b']);
    await shop.submit(planned);
    await shop.store.interrupt(planned.run.id, 'launch');
    shop.work();
    while ((await shop.queue.ids()).length > 0) await shop.pass();
    expect((await shop.store.jobsOf(planned.run.id)).map((row) => row.state)).toEqual(['interrupted', 'interrupted']);
    expect(shop.images.pictures.size).toBe(0);
  });
});

describe('planSubmission', () => {
  it('makes breadth first with -n, each picture under its own name', async () => {
    const shop = workshop();
    const planned = await shop.plan(['a', 'b'], { n: 2 });
    expect(planned.jobs.map((job) => job.request.prompt)).toEqual(['a', 'b', 'a', 'b']);
    expect(new Set(planned.jobs.map((job) => job.target)).size).toBe(4);
    expect(planned.folder).toBe(join(folder, 'run'));
  });

  it('keeps index, seed and file of unchanged lines when others are inserted', async () => {
    const shop = workshop();
    const before = await shop.run(['one', 'two'], settled);
    const planned = await shop.plan(['zero', 'one', 'two']);
    expect(planned.jobs.map((job) => job.request.prompt)).toEqual(['zero']);
    expect(planned.plan.done.map((row) => row.path)).toEqual(before.map((row) => row.path));
    expect(planned.total).toBe(3);
  });
});
