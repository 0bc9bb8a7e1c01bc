import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { AppError } from '../../src/errors.ts';
import { MemoryImages } from '../../src/images/memory.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import { submit, type Working, type WorkParts, work } from '../../src/pipeline.ts';
import type { Clock, Device, ImageStore, JobRow, Model, Provider } from '../../src/ports.ts';
import { presetsWith } from '../../src/preset/catalogue.ts';
import { FakeProvider, type FakeScript } from '../../src/provider/fake.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { type Ask, type PlannedRun, planSubmission } from '../../src/submission.ts';
import { flatTariff } from '../cost/terms.ts';
import { diskAnswers } from '../support/disk.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** The only one that there is to plan with. */
export const MODEL: Model = {
  name: 'tiny',
  path: '/models/tiny',
  hash: `sha256:${'0'.repeat(64)}`,
  family: 'sd',
  nativeSize: { width: 64, height: 64 },
  sizeMultiple: 8,
  defaults: { steps: 2, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' },
  schedulers: ['dpmpp_2m'],
  clipLayers: 12,
  anatomy: null,
};

/** The provider writes real temporary files, so that their folder has to be there. */
export class Pictures extends MemoryImages {
  override async prepare(target: string, jobId: string): Promise<string> {
    mkdirSync(dirname(target), { recursive: true });
    return super.prepare(target, jobId);
  }
}

export interface WorkshopOptions {
  /** An existing folder for the files of the provider. */
  readonly folder: string;
  readonly script?: FakeScript;
  readonly images?: MemoryImages;
  /** In place of the pictures in memory. */
  readonly disk?: ImageStore;
  /** In place of a new one that stands still until time is let go by. */
  readonly clock?: Clock;
  readonly store?: MemoryStore;
  readonly devices?: readonly Device[];
  /** In place of the fake provider. */
  readonly provider?: (clock: Clock) => Provider;
}

/** The whole way of a picture with nothing outside this process but the fake provider's files. */
export class Workshop {
  readonly clock: Clock;
  readonly #manual: ManualClock;
  readonly store: MemoryStore;
  readonly queue: MemoryQueue;
  readonly provider: Provider;
  readonly fatal: AppError[] = [];
  readonly troubles: string[] = [];
  readonly notes: string[] = [];
  readonly images: MemoryImages;
  readonly #disk: ImageStore;
  readonly #folder: string;
  #working: Working | undefined;

  constructor({
    folder,
    script = {},
    images = new Pictures(),
    store,
    devices,
    provider,
    clock,
    disk,
  }: WorkshopOptions) {
    this.#folder = folder;
    this.#manual = clock instanceof ManualClock ? clock : new ManualClock();
    this.clock = clock ?? this.#manual;
    this.queue = new MemoryQueue(this.clock);
    this.images = images;
    this.#disk = disk ?? images;
    this.store = store ?? new MemoryStore();
    const fake = { clock: this.clock, script, ...(devices === undefined ? {} : { devices }) };
    this.provider = provider?.(this.clock) ?? new FakeProvider(fake);
  }

  get working(): Working {
    if (this.#working === undefined) throw new Error('nothing works here yet');
    return this.#working;
  }

  async plan(prompts: readonly string[], change: Partial<Ask> = {}): Promise<PlannedRun> {
    const { store } = this;
    const images = this.#disk;
    let seed = 0;
    const door = {
      clock: this.clock,
      models: new MemoryRegistry([MODEL]),
      launch: 'launch',
      presets: presetsWith([]),
      isAlive: () => false,
      randomSeed: () => {
        seed += 1;
        return seed;
      },
    };
    return planSubmission({ ...door, store, images }, { ...askFor(prompts, this.#folder), ...change });
  }

  async submit(planned: PlannedRun): Promise<void> {
    const { store, queue } = this;
    const parts = { store, launch: 'launch', served: false };
    await submit({ ...parts, enqueue: (jobs) => queue.add(jobs), fault: () => {} }, planned);
  }

  work(change: Partial<WorkParts> = {}): Working {
    this.#working = work({
      clock: this.clock,
      store: this.store,
      queue: this.queue,
      images: this.#disk,
      provider: this.provider,
      launch: 'launch',
      prices: {
        tariff: flatTariff(0.3, { assumed: true }),
        watts: { cpu: 65, gpu: 300 },
      },
      books: null,
      software: 'kilnwatt test',
      texts: { prompt: true, cost: true },
      jobLimit: null,
      stopLimit: 60_000,
      requireRoom: async () => {},
      restsFor: () => 0,
      waitsUntil: () => null,
      fault: () => {},
      onFatal: (error) => this.fatal.push(error),
      onTrouble: (sentence) => this.troubles.push(sentence),
      onNote: (sentence) => this.notes.push(sentence),
      ...change,
    });
    return this.#working;
  }

  /** Submits, works, and waits until `until` holds of the run's jobs. */
  async run(prompts: readonly string[], until: (rows: readonly JobRow[]) => boolean): Promise<readonly JobRow[]> {
    const planned = await this.plan(prompts);
    await this.submit(planned);
    this.work();
    return this.until(planned.run.id, until);
  }

  /** Lets time go by until `until` holds of the run's jobs. */
  async until(runId: string, until: (rows: readonly JobRow[]) => boolean): Promise<readonly JobRow[]> {
    const deadline = performance.now() + LIMIT_MS;
    for (;;) {
      const rows = await this.store.jobsOf(runId);
      if (until(rows)) return rows;
      if (performance.now() > deadline)
        throw new Error(`after ${LIMIT_MS / 1000} s the jobs are ${rows.map((row) => row.state).join(', ')}`);
      await this.pass();
    }
  }

  /** Lets time go by until no batch is under way, and then some more. */
  async idle(millis: number): Promise<void> {
    while (this.working.busy) await this.pass();
    for (let passed = 0; passed < millis; passed += 20) await this.pass();
  }

  /** Stops what works here, and lets time go by until it has. */
  async stop(): Promise<void> {
    let ended = false;
    const stopped = this.#working?.stop().finally(() => {
      ended = true;
    });
    while (stopped !== undefined && !ended) await this.pass();
  }

  /** Lets time go by, and everything that is due happen. */
  async pass(): Promise<void> {
    await diskAnswers();
    this.#manual.advance(20);
  }
}

function askFor(prompts: readonly string[], folder: string): Ask {
  return {
    id: null,
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
    priority: 'bulk',
    when: null,
    tags: {},
  };
}

/** Of real time, which the files of the provider take. */
const LIMIT_MS = 20_000;

export const settled = (rows: readonly JobRow[]) =>
  rows.every((row) => row.state === 'done' || row.state === 'failed' || row.state === 'cancelled');
