import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLEAN } from '../../src/batch/marks.ts';
import { UnavailableError } from '../../src/errors.ts';
import type { Batch, BatchResult, Device, JobRow, Provider } from '../../src/ports.ts';
import { FakeProvider, type FakeScript } from '../../src/provider/fake.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { PRESETS_TRIED } from '../contracts/provider-bench.ts';
import { settled, Workshop, type WorkshopOptions } from './workshop.ts';

let folder: string;
let shop: Workshop;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'suspects-'));
});
afterEach(async () => {
  await shop.stop();
  rmSync(folder, { recursive: true });
});

function open(script: FakeScript = {}, options: Partial<WorkshopOptions> = {}): Workshop {
  shop = new Workshop({ folder, script, ...options });
  return shop;
}

type Make = Provider['make'];

/** Notes what travels together, and misbehaves as the test says. */
class Watched extends FakeProvider {
  readonly batches: string[][] = [];
  readonly safe: boolean[] = [];
  answer: (batch: Batch, result: BatchResult) => BatchResult = (_, result) => result;

  override async make(batch: Batch, options: Parameters<Make>[1]): ReturnType<Make> {
    this.batches.push(batch.jobs.map((job) => job.request.prompt));
    this.safe.push(batch.safe);
    return this.answer(batch, await super.make(batch, options));
  }
}

function failing(batch: Batch, result: BatchResult, prompt: string, code: string): BatchResult {
  const fail = (job: string) => ({ kind: 'failure', job, code, message: `it was ${code}`, retryable: true }) as const;
  const prompts = batch.jobs.map((job) => job.request.prompt);
  return {
    ...result,
    answers: result.answers.map((one, at) => (prompts[at]?.includes(prompt) ? fail(one.job) : one)),
  };
}

function watched(script: FakeScript = {}, devices?: readonly Device[]): Watched {
  let provider: Watched | undefined;
  open(script, {
    provider: (clock) => {
      provider = new Watched({ clock, script, presets: PRESETS_TRIED, ...(devices === undefined ? {} : { devices }) });
      return provider;
    },
  });
  if (provider === undefined) throw new Error('the workshop made no provider');
  return provider;
}

const statesOf = (rows: readonly JobRow[]) => rows.map((row) => row.state);

describe('a job that kills its worker', () => {
  it('fails for good after three deaths, the last two alone, and takes none of its neighbours with it', async () => {
    const provider = watched({ dieOn: 'killer' });
    const rows = await shop.run(['a', 'killer', 'c', 'd', 'e', 'f'], settled);
    expect(statesOf(rows)).toEqual(['done', 'failed', 'done', 'done', 'done', 'done']);
    expect(rows[1]?.error).toMatchObject({ code: 'worker_died' });
    expect(rows[1]?.error?.message).toMatch(/3 workers died of it, two of them alone with it/);
    const deadly = provider.batches.filter((batch) => batch.includes('killer'));
    expect(deadly).toEqual([['a', 'killer', 'c', 'd'], ['killer'], ['killer']]);
    expect(shop.fatal).toEqual([]);
    expect(shop.troubles[0]).toMatch(/^4 of 4 jobs of a batch are tried again: /);
  });

  it('comes after the clean jobs of its priority, also those that were not in the window yet', async () => {
    const provider = watched({ dieOn: 'killer' });
    const prompts = ['killer', ...Array.from({ length: 43 }, (_, at) => `clean ${at}`)];
    const rows = await shop.run(prompts, settled);
    expect(statesOf(rows)).toEqual(['failed', ...Array(43).fill('done')]);
    const first = provider.batches.findIndex((batch) => batch.length === 1);
    // The suspects are the killer and its three neighbours of the first batch.
    expect(provider.batches.slice(0, first).flat()).toHaveLength(4 + 40);
  });

  it('does not count a death that was our own doing', async () => {
    const provider = watched();
    let stops = 0;
    provider.answer = (batch, result) => {
      stops += 1;
      return stops <= 5 ? failing(batch, result, 'a', 'worker_stopped') : result;
    };
    const [row] = await shop.run(['a'], settled);
    expect(row).toMatchObject({ state: 'done', marks: CLEAN });
    expect(stops).toBe(6);
  });

  it('is still a suspect when another process goes on with it', async () => {
    const store = new MemoryStore();
    open({}, { store });
    const planned = await shop.plan(['a', 'b']);
    await shop.submit(planned);
    const [id = ''] = planned.jobs.map((job) => job.id);
    await store.markRunning([id], 'of an earlier launch');
    const marks = { ...CLEAN, deaths: 2 };
    await store.settle({ batchId: 'earlier', at: 1, entries: [], jobs: [{ id, state: 'queued', marks }] });
    shop.work();
    const rows = await shop.until(planned.run.id, settled);
    expect(rows.map((row) => row.receipt?.batch.size)).toEqual([1, 1]);
    expect(rows[0]?.receipt?.batch.id).not.toBe(rows[1]?.receipt?.batch.id);
  });
});

describe('a batch that ran out of memory', () => {
  it('is tried again together, since the limit has become smaller, and harms no job', async () => {
    const provider = watched();
    let limit = 4;
    provider.limit = () => limit;
    provider.answer = (batch, result) => {
      if (batch.jobs.length <= 1) return result;
      limit = Math.floor(batch.jobs.length / 2);
      return failing(batch, result, '', 'out_of_memory');
    };
    const rows = await shop.run(['a', 'b', 'c', 'd'], settled);
    expect(statesOf(rows)).toEqual(Array(4).fill('done'));
    expect(rows.map((row) => row.marks)).toEqual(Array(4).fill(CLEAN));
    expect(provider.batches.map((batch) => batch.length)).toEqual([4, 2, 1, 1, 1, 1]);
  });
});

describe('a black picture', () => {
  it('is made once more with the safe settings, and the first try is booked as overhead', async () => {
    const provider = watched({ stepMillis: 20 });
    provider.answer = (batch, result) => (batch.safe ? result : failing(batch, result, 'b', 'black_image'));
    const rows = await shop.run(['a', 'b', 'c'], settled);
    expect(statesOf(rows)).toEqual(['done', 'done', 'done']);
    expect(provider.batches).toEqual([['a', 'b', 'c'], ['b']]);
    expect(provider.safe).toEqual([false, true]);
    const totals = await shop.store.totals(rows[0]?.runId ?? '', 0);
    expect(totals.images).toBe(3);
    expect(totals.overhead.seconds).toBeGreaterThan(0);
  });

  it('is made safely in smaller batches where four of them do not fit, and not refused for ever', async () => {
    const provider = watched({ blackOn: 'night', memoryPixels: { 'plain+safe': 2 * 64 * 64 } });
    const rows = await shop.run(['night a', 'night b', 'night c', 'night d'], settled);
    expect(statesOf(rows)).toEqual(Array(4).fill('done'));
    expect(provider.batches.map((batch) => batch.length)).toEqual([4, 4, 2, 2]);
  });

  it('fails when it is black again, and three in a row hold the run', async () => {
    const provider = watched();
    provider.answer = (batch, result) => failing(batch, result, 'black', 'black_image');
    const prompts = ['a', ...Array.from({ length: 20 }, (_, at) => `black ${at}`)];
    const rows = await shop.run(prompts, (now) => now.filter((row) => row.state === 'failed').length >= 3);
    await shop.idle(1_000);
    const run = await shop.store.run(rows[0]?.runId ?? '');
    expect(run?.held).toMatch(/three pictures in a row stayed black/);
    const now = await shop.store.jobsOf(run?.id ?? '');
    const failed = now.filter((row) => row.state === 'failed');
    expect(failed.map((row) => row.error?.code)).toEqual(failed.map(() => 'black_image'));
    expect(failed.length).toBeGreaterThanOrEqual(3);
    expect(failed.length).toBeLessThan(20);
    expect(now.filter((row) => row.state === 'queued').length).toBe(20 - failed.length);
  });
});

describe('a job with a time limit', () => {
  it('gets it once more alone, then fails; its neighbours are made', async () => {
    open({ stepMillis: 30_000 });
    const planned = await shop.plan(['a']);
    await shop.submit(planned);
    shop.work({ jobLimit: 40_000 });
    const [row] = await shop.until(planned.run.id, settled);
    expect(row).toMatchObject({ state: 'failed', error: { code: 'timed_out' } });
    expect(row?.error?.message).toMatch(/not finished after 40 s \(limits\.job_seconds\)/);
  });
});

describe('devices', () => {
  const cards = ['x', 'y'].map((id): Device => ({ id, kind: 'cpu', uuid: null, name: id }));

  it('in quarantine are left alone, while the others go on', async () => {
    const provider = watched({}, cards);
    const until = shop.clock.now() + 60_000;
    provider.quarantine = (device) => (device === 'x' && shop.clock.now() < until ? { reason: 'sick', until } : null);
    const used: string[] = [];
    provider.answer = (batch, result) => {
      used.push(batch.device);
      return result;
    };
    const rows = await shop.run(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'], settled);
    expect(statesOf(rows)).toEqual(Array(9).fill('done'));
    expect(new Set(used)).toEqual(new Set(['y']));
  });

  it('whose worker cannot be had are left alone for five minutes, and the others go on', async () => {
    const provider = watched({}, cards);
    const asked: string[] = [];
    const make = provider.make.bind(provider);
    provider.make = (batch, options) => {
      asked.push(batch.device);
      const gone = new UnavailableError('no card', { code: 'device_missing' });
      return batch.device === 'x' ? Promise.reject(gone) : make(batch, options);
    };
    const rows = await shop.run(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'], settled);
    expect(statesOf(rows)).toEqual(Array(9).fill('done'));
    expect(asked.filter((device) => device === 'x')).toHaveLength(1);
    expect(shop.troubles).toEqual(['x is left alone for 5 minutes: no card']);
    expect(shop.fatal).toEqual([]);
  });

  it('none of which can be had end the work at once', async () => {
    const provider = watched({}, cards);
    provider.make = () => Promise.reject(new UnavailableError('no Python', { code: 'worker_unavailable' }));
    await shop.run(['a', 'b', 'c', 'd', 'e'], () => shop.fatal.length > 0);
    expect(shop.fatal.map((error) => error.code)).toEqual(['worker_unavailable']);
  });

  it('that are all in quarantine before any batch was begun end the work', async () => {
    const provider = watched();
    const until = shop.clock.now() + 600_000;
    provider.answer = (batch, result) => {
      if (provider.batches.length === 3) provider.quarantine = () => ({ reason: '3 deaths in a row', until });
      return failing(batch, result, 'a', 'worker_died_loading');
    };
    await shop.run(['a 1', 'a 2', 'a 3', 'a 4'], () => shop.fatal.length > 0);
    expect(shop.fatal[0]).toMatchObject({ code: 'worker_keeps_dying' });
    expect(shop.fatal[0]?.message).toMatch(/3 deaths in a row/);
  });

  it('that prompts alone have put into quarantine do not end the work, though no picture was made', async () => {
    const provider = watched({ dieOn: 'poison' });
    let until = 0;
    provider.quarantine = () => (shop.clock.now() < until ? { reason: '5 deaths in a row', until } : null);
    provider.answer = (_, result) => {
      if (provider.batches.length === 4) until = shop.clock.now() + 300_000;
      return result;
    };
    const rows = await shop.run(['poison 1', 'poison 2'], settled);
    expect(statesOf(rows)).toEqual(['failed', 'failed']);
    expect(shop.fatal).toEqual([]);
  });

  it('that are all in quarantine after pictures were made are probed when their time is over', async () => {
    const provider = watched();
    let until = 0;
    provider.quarantine = () => (shop.clock.now() < until ? { reason: 'tired', until } : null);
    provider.answer = (_, result) => {
      if (provider.batches.length === 1) until = shop.clock.now() + 300_000;
      return result;
    };
    const began = shop.clock.now();
    const rows = await shop.run(['a', 'b', 'c', 'd', 'e'], settled);
    expect(statesOf(rows)).toEqual(Array(5).fill('done'));
    expect(shop.clock.now() - began).toBeGreaterThanOrEqual(300_000);
    expect(shop.fatal).toEqual([]);
    expect(shop.troubles.join()).toMatch(/is in quarantine until \d\d:\d\d, then it is tried again: tired/);
  });
});
