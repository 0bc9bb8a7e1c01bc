import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import type { WorkOptions } from '../../src/ports.ts';
import type { FakeScript } from '../../src/provider/fake.ts';
import { settled, Workshop, type WorkshopOptions } from './workshop.ts';

let folder: string;
let shop: Workshop;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'control-'));
});
afterEach(async () => {
  await shop.stop();
  rmSync(folder, { recursive: true });
});

function open(script: FakeScript = {}, options: Partial<WorkshopOptions> = {}): Workshop {
  shop = new Workshop({ folder, script, ...options });
  return shop;
}

const prompts = (count: number) => Array.from({ length: count }, (_, at) => `prompt ${at}`);

async function begun(count: number): Promise<string> {
  const planned = await shop.plan(prompts(count));
  await shop.submit(planned);
  shop.work();
  await shop.until(planned.run.id, (rows) => rows.some((row) => row.state === 'running'));
  return planned.run.id;
}

const statesOf = async (runId: string) => (await shop.store.jobsOf(runId)).map((row) => row.state);

describe('a job that is cancelled', () => {
  it('while it is being made ends at the next step, alone, and its share is booked as overhead', async () => {
    open({ stepMillis: 2_000 });
    const runId = await begun(3);
    const [first = ''] = (await shop.store.jobsOf(runId)).map((row) => row.id);
    shop.working.withdraw(await shop.store.cancel([first]));
    await shop.until(runId, settled);
    expect(await statesOf(runId)).toEqual(['cancelled', 'done', 'done']);
    expect((await shop.store.totals(runId, 0)).overhead.seconds).toBeGreaterThan(0);
    expect(await shop.queue.ids()).toEqual([]);
  });

  it('while it waits is not made, and leaves the queue', async () => {
    open({ stepMillis: 2_000 });
    const runId = await begun(6);
    const waiting = (await shop.store.jobsOf(runId)).filter((row) => row.state === 'queued').map((row) => row.id);
    shop.working.withdraw(await shop.store.cancel(waiting));
    await shop.until(runId, settled);
    expect(await statesOf(runId)).toEqual([...Array(4).fill('done'), 'cancelled', 'cancelled']);
    expect(await shop.queue.ids()).toEqual([]);
  });

  it('all of a batch ends the batch at the next step', async () => {
    open({ stepMillis: 10_000 });
    const runId = await begun(4);
    const began = shop.clock.monotonic();
    shop.working.withdraw(await shop.store.cancel((await shop.store.jobsOf(runId)).map((row) => row.id)));
    await shop.idle(0);
    expect(shop.clock.monotonic() - began).toBeLessThanOrEqual(10_040);
    expect(await statesOf(runId)).toEqual(Array(4).fill('cancelled'));
  });
});

describe('a pause', () => {
  it('finishes the running batch, begins none, frees the device, and goes on when it is over', async () => {
    open({ stepMillis: 500 });
    const runId = await begun(12);
    shop.working.pause({ now: false });
    await shop.idle(10_000);
    expect(await statesOf(runId)).toEqual([...Array(4).fill('done'), ...Array(8).fill('queued')]);
    expect(shop.provider.resident('cpu')).toBeNull();
    expect(shop.working.busy).toBe(false);
    shop.working.resume();
    const rows = await shop.until(runId, settled);
    expect(rows.map((row) => row.state)).toEqual(Array(12).fill('done'));
  });

  it('now gives the running batch up, whose jobs are made later as if nothing had been', async () => {
    open({ stepMillis: 5_000 });
    const runId = await begun(4);
    shop.working.pause({ now: true });
    await shop.idle(0);
    expect(await statesOf(runId)).toEqual(Array(4).fill('queued'));
    shop.working.resume();
    const rows = await shop.until(runId, settled);
    expect(rows.map((row) => [row.state, row.marks])).toEqual(Array(4).fill(['done', CLEAN]));
  });
});

describe('hours', () => {
  it('let a device rest with the running batch finished, and work again when they begin', async () => {
    open({ stepMillis: 500 });
    const planned = await shop.plan(prompts(8));
    await shop.submit(planned);
    const [from, to] = [1_000, 100_000];
    const now = () => shop.clock.monotonic();
    shop.work({ restsFor: () => (now() >= from && now() < to ? to - now() : 0) });
    await shop.until(planned.run.id, (rows) => rows.filter((row) => row.state === 'done').length === 4);
    await shop.idle(4_000);
    expect(shop.provider.resident('cpu')).toBeNull();
    const rows = await shop.until(planned.run.id, settled);
    expect(rows.map((row) => row.state)).toEqual(Array(8).fill('done'));
    expect(now()).toBeGreaterThanOrEqual(to);
  });
});

describe('priorities', () => {
  it('let interactive jobs pass the bulk that waits; the running batch is finished first', async () => {
    open({ stepMillis: 500 });
    const bulk = await begun(30);
    const urgent = await shop.plan(['now'], { name: 'urgent', priority: 'interactive' });
    await shop.submit(urgent);
    await shop.until(urgent.run.id, settled);
    expect((await statesOf(bulk)).filter((state) => state === 'done')).toHaveLength(4);
    await shop.until(bulk, settled);
  });
});

describe('a queue server that is away for long', () => {
  it('has nothing new begun until it is back, and what has not begun is handed back then', async () => {
    open({ stepMillis: 500 });
    let tell: WorkOptions['onAway'];
    const work = shop.queue.work.bind(shop.queue);
    shop.queue.work = (handler, options) => {
      tell = options.onAway;
      return work(handler, options);
    };
    const runId = await begun(12);
    tell?.(true);
    await shop.idle(10_000);
    expect((await statesOf(runId)).filter((state) => state === 'done')).toHaveLength(4);
    tell?.(false);
    const rows = await shop.until(runId, settled);
    expect(rows.map((row) => row.state)).toEqual(Array(12).fill('done'));
    expect(shop.notes).toEqual([
      'The queue server has been away for long: no batch is begun until it is back.',
      'The queue server is back.',
    ]);
  });
});

describe('a stop', () => {
  it('hands back what has not begun in order, and finishes the running batch', async () => {
    open({ stepMillis: 500 });
    const runId = await begun(12);
    await shop.stop();
    expect(await statesOf(runId)).toEqual([...Array(4).fill('done'), ...Array(8).fill('queued')]);
    const left = (await shop.store.jobsOf(runId)).slice(4).map((row) => row.id);
    expect(await shop.queue.ids()).toEqual(left);
  });

  it('gives a batch up that takes longer than its limit', async () => {
    open({ stepMillis: 50_000 });
    const planned = await shop.plan(prompts(4));
    await shop.submit(planned);
    shop.work({ stopLimit: 10_000 });
    await shop.until(planned.run.id, (rows) => rows.some((row) => row.state === 'running'));
    await shop.stop();
    expect(shop.clock.monotonic()).toBeLessThan(61_000);
    expect(await statesOf(planned.run.id)).toEqual(Array(4).fill('queued'));
    expect(await shop.queue.ids()).toHaveLength(4);
  });
});
