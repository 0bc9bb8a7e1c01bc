import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { flatTariff } from '../../src/cost/tariff.ts';
import { type AppError, StorageError } from '../../src/errors.ts';
import { MemoryImages } from '../../src/images/memory.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import { submit, type Working, work } from '../../src/pipeline.ts';
import type { JobHandler, JobRow, Model } from '../../src/ports.ts';
import { FakeProvider, type FakeScript } from '../../src/provider/fake.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { type Ask, type PlannedRun, planSubmission } from '../../src/submission.ts';
import { ManualClock } from '../support/manual-clock.ts';

const MODEL: Model = {
  name: 'tiny',
  path: '/models/tiny',
  hash: `sha256:${'0'.repeat(64)}`,
  family: 'sd',
  nativeSize: { width: 64, height: 64 },
  sizeMultiple: 8,
  defaults: { steps: 2, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' },
  schedulers: ['dpmpp_2m'],
  clipLayers: 12,
};

/** The provider writes real temporary files, so that their folder has to be there. */
class Pictures extends MemoryImages {
  override async prepare(target: string, jobId: string): Promise<string> {
    mkdirSync(dirname(target), { recursive: true });
    return super.prepare(target, jobId);
  }
}

/** A full disk from the n-th picture on. */
class FullDisk extends Pictures {
  #room: number;

  constructor(room: number) {
    super();
    this.#room = room;
  }

  override async finish(...made: Parameters<MemoryImages['finish']>): Promise<string> {
    this.#room -= 1;
    if (this.#room < 0) throw new StorageError('the disk is full', { code: 'disk_full' });
    return super.finish(...made);
  }
}

let folder: string;
let working: Working | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pipeline-'));
});
afterEach(async () => {
  await working?.stop();
  rmSync(folder, { recursive: true });
});

/** The whole way of a picture with nothing outside this process but the fake provider's files. */
class Workshop {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore();
  readonly queue = new MemoryQueue(this.clock);
  readonly fatal: AppError[] = [];
  readonly troubles: string[] = [];
  readonly images: MemoryImages;
  readonly #script: FakeScript;

  constructor(script: FakeScript = {}, images: MemoryImages = new Pictures()) {
    this.#script = script;
    this.images = images;
  }

  async plan(prompts: readonly string[], change: Partial<Ask> = {}): Promise<PlannedRun> {
    const { store, images } = this;
    let seed = 0;
    const door = {
      clock: this.clock,
      models: new MemoryRegistry([MODEL]),
      launch: 'launch',
      isAlive: () => false,
      randomSeed: () => {
        seed += 1;
        return seed;
      },
    };
    return planSubmission({ ...door, store, images }, { ...askFor(prompts), ...change });
  }

  async submit(planned: PlannedRun): Promise<void> {
    const { store, queue } = this;
    await submit({ store, launch: 'launch', enqueue: (jobs) => queue.add(jobs), fault: () => {} }, planned);
  }

  /** With `onHandler` the queue itself hands nothing out. */
  work({ onHandler }: { readonly onHandler?: (handler: JobHandler) => void } = {}): void {
    const idle = { setWindow: () => {}, stop: async () => {} };
    if (onHandler !== undefined) {
      this.queue.work = (handler) => {
        onHandler(handler);
        return idle;
      };
    }
    working = work({
      clock: this.clock,
      store: this.store,
      queue: this.queue,
      images: this.images,
      provider: new FakeProvider({ clock: this.clock, script: this.#script }),
      launch: 'launch',
      prices: {
        tariff: flatTariff({ pricePerKwh: 0.3, currency: 'EUR', assumed: true }),
        watts: { cpu: 65, gpu: 300 },
      },
      software: 'kilnwatt test',
      texts: { prompt: true, cost: true },
      fault: () => {},
      onFatal: (error) => this.fatal.push(error),
      onTrouble: (sentence) => this.troubles.push(sentence),
    });
  }

  /** Submits, works, and waits until `until` holds of the run's jobs. */
  async run(prompts: readonly string[], until: (rows: readonly JobRow[]) => boolean): Promise<readonly JobRow[]> {
    const planned = await this.plan(prompts);
    await this.submit(planned);
    this.work();
    for (;;) {
      const rows = await this.store.jobsOf(planned.run.id);
      if (until(rows)) return rows;
      await this.pass();
    }
  }

  /** Lets time go by, and everything that is due happen. */
  async pass(): Promise<void> {
    await new Promise<void>((next) => setImmediate(next));
    this.clock.advance(20);
  }
}

function askFor(prompts: readonly string[]): Ask {
  return {
    drafts: prompts.map((prompt, at) => ({ prompt, place: `p.txt:${at + 1}` })),
    flags: {},
    defaultModel: 'tiny',
    n: 1,
    order: 'breadth',
    name: 'run',
    hint: 'p',
    fresh: false,
    retryFailed: false,
    remakeMissing: false,
    out: null,
    defaultOut: folder,
    pattern: '{run}/{index:05}-{seed}',
    format: 'png',
    sidecar: null,
    preset: 'auto',
    tags: {},
  };
}

/** Both outcomes of one job that a queue gave to the same worker twice. */
async function handedOutTwice(shop: Workshop, prompt: string): Promise<readonly PromiseSettledResult<void>[]> {
  const planned = await shop.plan([prompt]);
  const [job] = planned.jobs;
  if (job === undefined) throw new Error('nothing was planned');
  await shop.submit(planned);
  const handlers: JobHandler[] = [];
  shop.work({ onHandler: (handler) => handlers.push(handler) });
  const { signal } = new AbortController();
  const both = Promise.allSettled([handlers[0]?.(job, signal), handlers[0]?.(job, signal)]);
  let ended = false;
  void both.then(() => {
    ended = true;
  });
  while (!ended) await shop.pass();
  return (await both).map((outcome) => outcome as PromiseSettledResult<void>);
}

const settled = (rows: readonly JobRow[]) => rows.every((row) => row.state === 'done' || row.state === 'failed');

describe('work', () => {
  it('makes every picture once, with a receipt that is also in the picture', async () => {
    const shop = new Workshop();
    const rows = await shop.run(['a', 'b', 'c', 'd', 'e'], settled);
    expect(rows.map((row) => row.state)).toEqual(Array(5).fill('done'));
    for (const row of rows) expect(shop.images.pictures.get(row.path)?.kilnwatt.receipt).toEqual(row.receipt);
    expect(await shop.queue.ids()).toEqual([]);
  });

  it('fails the one prompt that fails, books what it took, and fails none of its neighbours', async () => {
    const shop = new Workshop({ failOn: 'poison', stepMillis: 40 });
    const rows = await shop.run(['a', 'poison', 'c'], settled);
    expect(rows.map((row) => row.state)).toEqual(['done', 'failed', 'done']);
    expect(rows[1]?.error?.code).toBe('black_image');
    const [run] = new Set(rows.map((row) => row.runId));
    const totals = await shop.store.totals(run ?? '', 0);
    expect(totals.images).toBe(2);
    expect(totals.overhead.seconds).toBeGreaterThan(0);
  });

  it('gives up on the one prompt that kills its worker, after three deaths, and makes its neighbours', async () => {
    const shop = new Workshop({ dieOn: 'killer' });
    const rows = await shop.run(['a', 'killer', 'c', 'd'], settled);
    expect(rows.map((row) => row.state)).toEqual(['done', 'failed', 'done', 'done']);
    expect(rows[1]?.error?.code).toBe('worker_died');
    expect(shop.fatal).toEqual([]);
    expect(shop.troubles[0]).toMatch(/^4 of 4 jobs of a batch are tried again: /);
  });

  it('stops when every batch ends with a death: then it is not the pictures', async () => {
    const shop = new Workshop({ dieOn: 'a' });
    const prompts = Array.from({ length: 60 }, (_, at) => `a ${at}`);
    const rows = await shop.run(prompts, () => shop.fatal.length > 0);
    expect(shop.fatal[0]?.code).toBe('worker_keeps_dying');
    expect(rows.filter((row) => row.state === 'failed').length).toBeLessThan(60);
  });

  it('takes a picture that is on disk already into the ledger, instead of making it again', async () => {
    const shop = new Workshop();
    const [first, second] = await shop.run(['a', 'b'], settled);
    const again = new Workshop({}, shop.images);
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

  it('stops when the disk is full, says so once, and loses no job', async () => {
    const shop = new Workshop({}, new FullDisk(2));
    const rows = await shop.run(['a', 'b', 'c', 'd', 'e'], () => shop.fatal.length > 0);
    await working?.stop();
    expect(shop.fatal.map((error) => error.code)).toEqual(['disk_full']);
    const now = await shop.store.jobsOf(rows[0]?.runId ?? '');
    expect(now.map((row) => row.state).sort()).toEqual(['done', 'done', 'queued', 'queued', 'queued']);
    expect(shop.images.pictures.size).toBe(2);
    expect(await shop.queue.ids()).toHaveLength(3);
  });

  it('hands a job back whose picture the worker could not write, because the disk is not its fault', async () => {
    const shop = new Workshop({ failOn: 'b', failCode: 'disk_full' });
    const rows = await shop.run(['a', 'b', 'c'], () => shop.fatal.length > 0);
    await working?.stop();
    expect(shop.fatal.map((error) => error.code)).toEqual(['disk_full']);
    const now = await shop.store.jobsOf(rows[0]?.runId ?? '');
    expect(now.map((row) => row.state)).toEqual(['done', 'queued', 'done']);
    expect(await shop.queue.ids()).toEqual([now[1]?.id]);
  });

  it('makes a job once that the queue hands out again while it is in hand, as after a night in which the host slept', async () => {
    const shop = new Workshop({ stepMillis: 1_000 });
    const [first, second] = await handedOutTwice(shop, 'a');
    expect([first?.status, second?.status]).toEqual(['fulfilled', 'fulfilled']);
    expect([...shop.images.pictures.values()].map(({ kilnwatt }) => kilnwatt.receipt.batch.id)).toEqual(['launch-1']);
  });

  it('gives a job that was handed out twice its second trip where the first one failed', async () => {
    const shop = new Workshop({ dieOn: 'killer' });
    const outcomes = await handedOutTwice(shop, 'killer');
    expect(outcomes).toMatchObject([{ reason: { code: 'worker_died' } }, { reason: { code: 'worker_died' } }]);
  });

  it('drops a job that was interrupted in the store while it waited in the queue', async () => {
    const shop = new Workshop();
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
    const shop = new Workshop();
    const planned = await shop.plan(['a', 'b'], { n: 2 });
    expect(planned.jobs.map((job) => job.request.prompt)).toEqual(['a', 'b', 'a', 'b']);
    expect(new Set(planned.jobs.map((job) => job.target)).size).toBe(4);
    expect(planned.folder).toBe(join(folder, 'run'));
  });

  it('keeps index, seed and file of unchanged lines when others are inserted', async () => {
    const shop = new Workshop();
    const before = await shop.run(['one', 'two'], settled);
    const planned = await shop.plan(['zero', 'one', 'two']);
    expect(planned.jobs.map((job) => job.request.prompt)).toEqual(['zero']);
    expect(planned.plan.done.map((row) => row.path)).toEqual(before.map((row) => row.path));
    expect(planned.total).toBe(3);
  });
});
