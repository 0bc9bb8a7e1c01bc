import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { App, Interrupts } from '../../src/cli/app.ts';
import { jsonReporter } from '../../src/cli/run-json.ts';
import type { RunSessionOptions } from '../../src/cli/run-plan.ts';
import { type LoadedConfig, loadConfig } from '../../src/config.ts';
import { type AppError, UnavailableError } from '../../src/errors.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import { memoryNotifier } from '../../src/notify/memory.ts';
import type { Model, Queue } from '../../src/ports.ts';
import { FakeProvider, type FakeScript } from '../../src/provider/fake.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { fixedTelemetry } from '../../src/telemetry/fixed.ts';
import { flatTariff } from '../cost/terms.ts';
import { MODEL, Pictures } from '../pipeline/workshop.ts';
import { diskAnswers } from '../support/disk.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { askHere } from './desk-samples.ts';
import { type KeptIo, keptIo } from './kept-io.ts';

const TEN_STEPS: Model = { ...MODEL, defaults: { ...MODEL.defaults, steps: 10 } };

export interface HouseOptions {
  readonly script?: FakeScript;
  readonly env?: Readonly<Record<string, string>>;
  /** Of its `kilnwatt.yaml`. */
  readonly config?: string;
  readonly store?: (clock: ManualClock) => MemoryStore;
}

/** One data folder and who works in it, all in this process: what commands share, and time that goes by when it is let. */
export class House {
  readonly clock = new ManualClock();
  readonly folder = mkdtempSync(join(tmpdir(), 'kilnwatt-house-'));
  readonly store: MemoryStore;
  /** A server that starts again has another object for it. */
  queue = new MemoryQueue(this.clock);
  readonly images = new Pictures();
  readonly provider: FakeProvider;
  readonly living = new Set<string>();
  readonly #env: Readonly<Record<string, string>>;
  /** The launch of whoever owns it. */
  owner: string | null = null;
  /** Whether a client reaches the queue of the owner. */
  reachable = true;
  /** Bytes of each device. */
  memory: number | null = 16e9;
  /** By the hours of the devices. */
  rests = false;

  constructor({ script = {}, env = {}, config, store = (clock) => new MemoryStore(clock) }: HouseOptions = {}) {
    if (config !== undefined) this.configure(config);
    this.store = store(this.clock);
    this.provider = new FakeProvider({ clock: this.clock, limit: 1, script: { stepMillis: 100, ...script } });
    this.#env = { HOME: this.folder, ...env };
  }

  /** What commands find from now on as the `kilnwatt.yaml` of its folder. */
  configure(text: string): void {
    writeFileSync(join(this.folder, 'kilnwatt.yaml'), text);
  }

  command(launch: string, said: Readonly<Record<string, string>> = {}): Command {
    this.living.add(launch);
    const flags = { model: 'tiny', out: this.folder, data_dir: this.folder, ...said };
    return new Command(this, launch, loadConfig({ flags, env: this.#env, cwd: this.folder }));
  }

  /** Lets time go by until it holds. */
  async until(holds: () => boolean | Promise<boolean>, what = 'what was waited for'): Promise<void> {
    for (let passes = 0; passes < MOST_PASSES; passes += 1) {
      if (await holds()) return;
      await this.pass();
    }
    throw new Error(`${what} did not come about`);
  }

  async pass(millis = 20): Promise<void> {
    await diskAnswers();
    this.clock.advance(millis);
  }

  /** Lets time go by in steps, so that whoever looks now and then does. */
  async letPass(millis: number): Promise<void> {
    for (let passed = 0; passed < millis; passed += 50) await this.pass(50);
  }

  async states(name: string): Promise<Record<string, number>> {
    const counts: Record<string, number> = { ...(await this.store.runByName(name))?.counts };
    return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
  }

  /** How many jobs of the run are done. */
  async done(name: string): Promise<number> {
    return (await this.states(name)).done ?? 0;
  }

  async close(): Promise<void> {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One command of a user in a house. */
export class Command implements Interrupts {
  readonly app: App;
  readonly io: KeptIo = keptIo();
  readonly notifier = memoryNotifier();
  readonly #house: House;
  readonly #launch: string;
  #interrupts = 0;

  constructor(house: House, launch: string, loaded: LoadedConfig) {
    this.#house = house;
    this.#launch = launch;
    this.app = appOf(house, this, { launch, loaded });
  }

  get kinds(): readonly string[] {
    return this.notifier.told.map(({ kind }) => kind);
  }

  take(): void {}

  count(): number {
    return this.#interrupts;
  }

  interrupt(): void {
    this.#interrupts += 1;
  }

  /** What became of it, once it has ended and its process is gone; undefined before. */
  ending<T>(command: Promise<T>): { value?: T; error?: unknown; readonly over: () => boolean } {
    let over = false;
    const ending: { value?: T; error?: unknown; readonly over: () => boolean } = { over: () => over };
    const end = (): void => {
      over = true;
      this.die();
    };
    command
      .then((value) => {
        ending.value = value;
      })
      .catch((error: unknown) => {
        ending.error = error;
      })
      .finally(end);
    return ending;
  }

  die(): void {
    this.#house.living.delete(this.#launch);
    if (this.#house.owner === this.#launch) this.#house.owner = null;
  }

  runOptions(prompts: readonly string[], name: string): RunSessionOptions {
    const { app } = this;
    const drafts = prompts.map((prompt, at) => ({ prompt, place: `p.txt:${at + 1}` }));
    return {
      app,
      ask: askHere({ drafts, name }, app.loaded),
      prices: {
        tariff: flatTariff(0.3, { assumed: true }),
        watts: { cpu: 65, gpu: 300 },
      },
      reporter: jsonReporter(app.io, () => []),
      dryRun: false,
      contactSheet: null,
      onDone: null,
      interrupts: this,
    };
  }
}

function appOf(
  house: House,
  command: Command,
  { launch, loaded }: { readonly launch: string; readonly loaded: LoadedConfig },
): App {
  const { clock, store, images, provider, living } = house;
  let seed = 0;
  return {
    loaded,
    io: command.io,
    clock,
    launch,
    software: 'kilnwatt test',
    command: ['kilnwatt'],
    models: new MemoryRegistry([TEN_STEPS]),
    images,
    contactSheets: { draw: async () => {} },
    isAlive: (other) => living.has(other),
    randomSeed: () => {
      seed += 1;
      return seed;
    },
    fault: () => {},
    store: async () => store,
    own: () => {
      house.owner ??= launch;
      return house.owner === launch;
    },
    queue: async (role): Promise<Queue> => {
      if (role === 'owner' || house.reachable) return house.queue;
      throw new UnavailableError('nothing listens there', { code: 'redis_unavailable' });
    },
    desk: () => null,
    broken: null as AppError | null,
    provider: async () => provider,
    books: async () => null,
    telemetry: fixedTelemetry(NO_CARDS),
    machine: async () => provider.devices.map((device) => ({ device, memory: house.memory })),
    notifier: () => command.notifier,
    requireRoom: async () => {},
    restsFor: () => (house.rests ? 3_600_000 : 0),
    checked: async () => [],
    close: async () => {},
  };
}

const NO_CARDS = {
  host: { os: 'Linux', kernel: '6', virtual: null },
  cpu: { name: 'CPU', cores: 2, threads: 2 },
  memory: 8_000_000_000,
  gpus: [],
  problems: [],
};

/** Every pass is 20 ms of the clock. */
const MOST_PASSES = 10_000;
