import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskImages } from '../../src/images/disk.ts';
import type { Draft } from '../../src/job/draft.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import { submit, type Working, work } from '../../src/pipeline.ts';
import type { Model, Priority, Provider, Store } from '../../src/ports.ts';
import { presetsWith } from '../../src/preset/catalogue.ts';
import { FakeProvider } from '../../src/provider/fake.ts';
import { LocalProvider } from '../../src/provider/local.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { planSubmission } from '../../src/submission.ts';
import { flatTariff } from '../cost/terms.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';
import { CountingClock } from './counting-clock.ts';

/** What makes the pictures: a fake in this process, or the Python worker with its fake engine. */
export type SoakProvider = 'fake' | 'python';

/** A prompt with this ends its worker each time, and one with that fails plainly where a fake makes it. */
export const KILLS = 'kills';
export const FAILS = 'fails';

const LAUNCH = 'soak';
const LIMIT = 8;
/** Pixels; the least that a model of ours has. */
const SIZE = 64;

/** So that the worker loads one after the other. */
export const MODELS = ['even', 'odd'] as const;

const MODEL: Omit<Model, 'name' | 'path' | 'hash'> = {
  family: 'sd',
  nativeSize: { width: SIZE, height: SIZE },
  sizeMultiple: 8,
  defaults: { steps: 1, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' },
  schedulers: ['dpmpp_2m'],
  clipLayers: 12,
  anatomy: null,
};

/** All of kilnwatt that stands between a submission and its pictures, in this process, with a Valkey and a store of its own. */
export class SoakHouse {
  readonly outputs: string;
  readonly #clock: CountingClock;
  readonly #root: string;
  readonly #store: Store;
  readonly #images: DiskImages;
  readonly #valkey: Valkey;
  readonly #queue: BullmqQueue;
  readonly #provider: Provider;
  readonly #working: Working;

  static async open(kind: SoakProvider, say: (sentence: string) => void): Promise<SoakHouse> {
    const clock = new CountingClock();
    const root = mkdtempSync(join(tmpdir(), 'kiln-soak-'));
    const dataDir = join(root, 'data');
    const socketPath = socketPathFor(dataDir, join(root, 'run'));
    const valkey = await startValkey({ dataDir, socketPath, python: PYTHON, clock, log: () => {} });
    const store = await openSqliteStore({ path: join(dataDir, 'kilnwatt.sqlite'), clock });
    return new SoakHouse({ clock, root, valkey, store, kind, say });
  }

  private constructor(parts: {
    readonly clock: CountingClock;
    readonly root: string;
    readonly valkey: Valkey;
    readonly store: Store;
    readonly kind: SoakProvider;
    say(sentence: string): void;
  }) {
    const { clock, root, valkey, store, kind, say } = parts;
    this.#clock = clock;
    this.#root = root;
    this.#valkey = valkey;
    this.#store = store;
    this.outputs = join(root, 'outputs');
    this.#images = new DiskImages({ outDir: this.outputs });
    this.#queue = new BullmqQueue({ connection: valkey, name: 'soak', clock, log: () => {} });
    this.#provider = kind === 'fake' ? fakeProvider(clock) : pythonProvider(clock);
    this.#working = work({
      clock,
      store,
      queue: this.#queue,
      images: this.#images,
      provider: this.#provider,
      launch: LAUNCH,
      books: null,
      prices: {
        tariff: flatTariff(0.3, { assumed: true }),
        watts: { cpu: 65, gpu: 300 },
      },
      software: 'kilnwatt soak',
      texts: { prompt: true, cost: true },
      requireRoom: async () => {},
      jobLimit: null,
      stopLimit: 10_000,
      restsFor: () => 0,
      waitsUntil: () => null,
      fault: () => {},
      onFatal: (error) => say(error.message),
      onTrouble: () => {},
      onNote: say,
    });
  }

  get valkeyPid(): number {
    return this.#valkey.pid;
  }

  /** Timers of ours that are wound up. */
  get timers(): number {
    return this.#clock.pending;
  }

  /** @returns the id of the run */
  async submit(name: string, priority: Priority, drafts: readonly Draft[]): Promise<string> {
    let seed = 0;
    const nextSeed = () => {
      seed += 1;
      return seed;
    };
    const models = new MemoryRegistry(MODELS.map(modelNamed));
    const door = { clock: this.#clock, models, images: this.#images, store: this.#store, launch: LAUNCH };
    const planned = await planSubmission(
      { ...door, isAlive: () => true, randomSeed: nextSeed, presets: presetsWith([]) },
      this.#askFor(name, priority, drafts),
    );
    const enqueue = this.#queue.add.bind(this.#queue);
    await submit({ store: this.#store, launch: LAUNCH, served: false, enqueue, fault: () => {} }, planned);
    return planned.run.id;
  }

  /** As the command and whoever works do it together. */
  async cancel(jobs: readonly string[]): Promise<void> {
    const cancelled = await this.#store.cancel(jobs);
    this.#working.withdraw(cancelled);
    await this.#queue.remove(cancelled);
  }

  /** How many jobs of a run are settled: done, failed for good, and cancelled. */
  async settled(run: string): Promise<Record<'done' | 'failed' | 'cancelled', number>> {
    const { done = 0, failed = 0, cancelled = 0 } = (await this.#store.run(run))?.counts ?? {};
    return { done, failed, cancelled };
  }

  async close(): Promise<void> {
    await this.#working.stop();
    await this.#queue.close();
    await this.#provider.close();
    await this.#store.close();
    await this.#valkey.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }

  #askFor(name: string, priority: Priority, drafts: readonly Draft[]): Parameters<typeof planSubmission>[1] {
    return {
      id: null,
      drafts,
      flags: {},
      defaultModel: MODELS[0],
      n: 1,
      order: 'breadth',
      name,
      hint: name,
      fresh: false,
      retryFailed: false,
      remakeMissing: false,
      out: null,
      defaultOut: this.outputs,
      pattern: '{run}/{index:05}',
      format: 'png',
      sidecar: null,
      preset: 'auto',
      priority,
      when: null,
      tags: {},
    };
  }
}

function fakeProvider(clock: CountingClock): Provider {
  return new FakeProvider({ clock, limit: LIMIT, script: { dieOn: KILLS, failOn: FAILS, failCode: 'planted' } });
}

function pythonProvider(clock: CountingClock): Provider {
  return new LocalProvider({
    devices: [{ id: 'cpu', kind: 'cpu', uuid: null, name: 'the CPU' }],
    memory: { known: [], learn: () => {} },
    python: PYTHON,
    workerDir: WORKER_DIR,
    engine: 'fake',
    launch: LAUNCH,
    clock,
    limit: LIMIT,
    log: () => {},
    env: { KW_FAKE: JSON.stringify({ exit_on: KILLS }) },
  });
}

function modelNamed(name: string, at: number): Model {
  return { ...MODEL, name, path: `/models/${name}`, hash: `sha256:${String(at).repeat(64)}` };
}
