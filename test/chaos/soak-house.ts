import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flatTariff } from '../../src/cost/tariff.ts';
import { DiskImages } from '../../src/images/disk.ts';
import type { Draft } from '../../src/job/draft.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import { submit, type Working, work } from '../../src/pipeline.ts';
import type { Model, Provider, Store } from '../../src/ports.ts';
import { systemClock as clock } from '../../src/process/clock.ts';
import { FakeProvider } from '../../src/provider/fake.ts';
import { LocalProvider } from '../../src/provider/local.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { socketPathFor, startValkey, type Valkey } from '../../src/queue/valkey.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { planSubmission } from '../../src/submission.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

/** What makes the pictures: a fake in this process, or the Python worker with its fake engine. */
export type SoakProvider = 'fake' | 'python';

/** A prompt with this ends its worker each time, and one with that fails plainly. */
export const KILLS = 'kills';
export const FAILS = 'fails';

const LAUNCH = 'soak';
const LIMIT = 8;
/** Pixels; the least that a model of ours has. */
const SIZE = 64;

const MODEL: Model = {
  name: 'none',
  path: '/models/none',
  hash: `sha256:${'0'.repeat(64)}`,
  family: 'sd',
  nativeSize: { width: SIZE, height: SIZE },
  sizeMultiple: 8,
  defaults: { steps: 1, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' },
  schedulers: ['dpmpp_2m'],
  clipLayers: 12,
};

/** All of kilnwatt that stands between a submission and its pictures, in this process, with a Valkey and a store of its own. */
export class SoakHouse {
  readonly outputs: string;
  readonly #root: string;
  readonly #store: Store;
  readonly #images: DiskImages;
  readonly #valkey: Valkey;
  readonly #queue: BullmqQueue;
  readonly #provider: Provider;
  readonly #working: Working;

  static async open(kind: SoakProvider, say: (sentence: string) => void): Promise<SoakHouse> {
    const root = mkdtempSync(join(tmpdir(), 'kiln-soak-'));
    const dataDir = join(root, 'data');
    const socketPath = socketPathFor(dataDir, join(root, 'run'));
    const valkey = await startValkey({ dataDir, socketPath, python: PYTHON, clock, log: () => {} });
    const store = await openSqliteStore({ path: join(dataDir, 'kilnwatt.sqlite'), clock });
    return new SoakHouse({ root, valkey, store, kind, say });
  }

  private constructor(parts: {
    readonly root: string;
    readonly valkey: Valkey;
    readonly store: Store;
    readonly kind: SoakProvider;
    say(sentence: string): void;
  }) {
    const { root, valkey, store, kind, say } = parts;
    this.#root = root;
    this.#valkey = valkey;
    this.#store = store;
    this.outputs = join(root, 'outputs');
    this.#images = new DiskImages({ outDir: this.outputs });
    this.#queue = new BullmqQueue({ connection: valkey, name: 'soak', clock, log: () => {} });
    this.#provider = kind === 'fake' ? fakeProvider() : pythonProvider();
    this.#working = work({
      clock,
      store,
      queue: this.#queue,
      images: this.#images,
      provider: this.#provider,
      launch: LAUNCH,
      prices: {
        tariff: flatTariff({ pricePerKwh: 0.3, currency: 'EUR', assumed: true }),
        watts: { cpu: 65, gpu: 300 },
      },
      software: 'kilnwatt soak',
      texts: { prompt: true, cost: true },
      requireRoom: async () => {},
      jobLimit: null,
      stopLimit: 10_000,
      restsFor: () => 0,
      fault: () => {},
      onFatal: (error) => say(error.message),
      onTrouble: () => {},
      onNote: say,
    });
  }

  get valkeyPid(): number {
    return this.#valkey.pid;
  }

  /** @returns the id of the run */
  async submit(name: string, drafts: readonly Draft[]): Promise<string> {
    let seed = 0;
    const nextSeed = () => {
      seed += 1;
      return seed;
    };
    const models = new MemoryRegistry([MODEL]);
    const door = { clock, models, images: this.#images, store: this.#store, launch: LAUNCH };
    const planned = await planSubmission(
      { ...door, isAlive: () => true, randomSeed: nextSeed },
      this.#askFor(name, drafts),
    );
    const enqueue = this.#queue.add.bind(this.#queue);
    await submit({ store: this.#store, launch: LAUNCH, served: false, enqueue, fault: () => {} }, planned);
    return planned.run.id;
  }

  /** How many jobs of a run are settled: done, and failed for good. */
  async settled(run: string): Promise<{ readonly done: number; readonly failed: number }> {
    const counts = (await this.#store.run(run))?.counts;
    return { done: counts?.done ?? 0, failed: counts?.failed ?? 0 };
  }

  async close(): Promise<void> {
    await this.#working.stop();
    await this.#queue.close();
    await this.#provider.close();
    await this.#store.close();
    await this.#valkey.stop();
    rmSync(this.#root, { recursive: true, force: true });
  }

  #askFor(name: string, drafts: readonly Draft[]): Parameters<typeof planSubmission>[1] {
    return {
      id: null,
      drafts,
      flags: {},
      defaultModel: MODEL.name,
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
      priority: 'bulk',
      tags: {},
    };
  }
}

function fakeProvider(): Provider {
  return new FakeProvider({ clock, limit: LIMIT, script: { dieOn: KILLS, failOn: FAILS, failCode: 'planted' } });
}

function pythonProvider(): Provider {
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
    // A death would replace the process whose memory is to be watched.
    env: { KW_FAKE: '{}' },
  });
}
