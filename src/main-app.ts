import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { hostname, totalmem } from 'node:os';
import { join } from 'node:path';
import { v7 as uuidv7 } from 'uuid';
import { hoursOf, strangersIn } from './batch/hours.ts';
import { Timetable } from './batch/timetable.ts';
import type { Bookkeeper } from './bookkeeper.ts';
import type { App } from './cli/app.ts';
import type { Part } from './cli/doctor.ts';
import { hostParts, pauseChecks } from './cli/doctor-checks.ts';
import type { Io } from './cli/io.ts';
import { pricesOf } from './cli/prices.ts';
import { pauseOf } from './cli/standstill.ts';
import type { Config, LoadedConfig } from './config.ts';
import { type AppError, UnavailableError } from './errors.ts';
import { pillowContactSheets } from './images/contact-sheet.ts';
import { DiskImages } from './images/disk.ts';
import { choicePartsFor } from './main-choice.ts';
import { hubFetcher } from './model/fetch.ts';
import { DiskRegistry } from './model/registry.ts';
import { configuredNotifier } from './notify/several.ts';
import type { ContactSheets, Notifier, Provider, Store, Telemetry } from './ports.ts';
import { systemClock } from './process/clock.ts';
import { type Lock, Presence, tryLock } from './process/lock.ts';
import { runBriefly } from './process/run-briefly.ts';
import { LocalProvider } from './provider/local.ts';
import { BullmqQueue, type BullmqQueueOptions } from './queue/bullmq.ts';
import { BullmqDesk } from './queue/desk.ts';
import { keepRunning } from './queue/keep-running.ts';
import { socketPathFor, startValkey } from './queue/valkey.ts';
import { DataFolder } from './store/room.ts';
import { openSqliteStore } from './store/sqlite.ts';
import { devicesOf } from './telemetry/devices.ts';
import { systemTelemetry } from './telemetry/system.ts';
import type { Millis } from './units.ts';

const ROOT = join(import.meta.dirname, '..');
const WORKER_DIR = join(ROOT, 'python-worker');
const OWN_MODELS_DIR = join(WORKER_DIR, 'models');

/** Every adapter of one command: built when first asked for, stopped in reverse, the owner's lock last of all. */
export class LocalApp implements App {
  readonly loaded: LoadedConfig;
  readonly io: Io;
  readonly clock = systemClock;
  readonly launch = uuidv7();
  readonly software: string;
  readonly command = startOf(process.argv[1] ?? '');
  readonly models: DiskRegistry;
  readonly images: DiskImages;
  readonly contactSheets: ContactSheets;
  readonly #config: Config;
  readonly telemetry: Telemetry;
  readonly #presence: Presence;
  readonly #folder: DataFolder;
  readonly #timetables = new Map<string, Timetable>();
  readonly #stops: (() => Promise<void> | void)[] = [];
  readonly #queues = { owner: once(() => this.#connect('owner')), client: once(() => this.#connect('client')) };
  #desk: BullmqDesk | null = null;
  #lock: Lock | null = null;
  #broken: AppError | null = null;

  constructor(loaded: LoadedConfig, io: Io, version: string) {
    const { config } = loaded;
    this.loaded = loaded;
    this.io = config.noColor ? uncolored(io) : io;
    this.software = `kilnwatt ${version}`;
    this.#config = config;
    this.#presence = new Presence(join(config.dataDir, 'live'), this.launch);
    this.telemetry = systemTelemetry({
      clock: this.clock,
      gauge: { python: config.python, workerDir: WORKER_DIR },
      plug: config.energy.plug,
    });
    this.models = new DiskRegistry({
      modelsDir: config.modelsDir,
      ownModelsDir: OWN_MODELS_DIR,
      cacheFile: join(config.dataDir, 'model-hashes.json'),
      fetch: hubFetcher({ python: config.python, workerDir: WORKER_DIR }),
      log: (line) => this.#log(line),
    });
    const reserveBytes = config.diskReserveMb * 1_000_000;
    this.#folder = new DataFolder(config.dataDir, reserveBytes);
    this.contactSheets = pillowContactSheets({ python: config.python, workerDir: WORKER_DIR });
    this.images = new DiskImages({ at: (point) => this.fault(point), reserveBytes, outDir: config.out });
  }

  readonly isAlive = (launch: string): boolean => this.#presence.isAlive(launch);

  readonly randomSeed = (): number => randomInt(2 ** 32);

  readonly fault = (point: string): void => {
    if (point === this.#config.fault) process.kill(process.pid, 'SIGKILL');
  };

  get broken(): AppError | null {
    return this.#broken;
  }

  own(): boolean {
    this.#lock ??= tryLock(join(this.#config.dataDir, 'owner.lock')) ?? null;
    return this.#lock !== null;
  }

  readonly store = once(async (): Promise<Store> => {
    this.#presence.claim();
    this.#stops.push(() => this.#presence.release());
    const store = await openSqliteStore({ path: join(this.#config.dataDir, 'kilnwatt.sqlite'), clock: this.clock });
    this.#stops.push(() => store.close());
    return store;
  });

  readonly provider = once(async (): Promise<Provider> => {
    const { python, workerEngine, limits, worker, hours } = this.#config;
    const devices = await devicesOf(this.#config.devices, this.telemetry);
    for (const device of devices) this.#timetables.set(device.id, new Timetable(hoursOf(hours, device)));
    for (const name of strangersIn(hours, devices))
      this.#log(`config: warning: hours names ${name}, and there is no such device here`);
    await requirePython(python);
    const world = { config: this.#config, store: await this.store(), telemetry: this.telemetry };
    const provider = new LocalProvider({
      devices,
      ...(await choicePartsFor({ ...world, devices, log: (line) => this.#log(line) })),
      recycle: {
        pictures: worker.recyclePictures,
        growth: worker.recycleGrowthMb === null ? null : worker.recycleGrowthMb * 1_000_000,
      },
      idleUnload: millis(worker.idleUnloadSeconds),
      python,
      workerDir: WORKER_DIR,
      engine: workerEngine,
      launch: this.launch,
      clock: this.clock,
      log: (line) => this.#log(line),
      limits: {
        heartbeat: millis(limits.heartbeatSeconds),
        step: millis(limits.stepSeconds),
        load: millis(limits.loadSeconds),
      },
    });
    this.#stops.push(() => provider.close());
    return provider;
  });

  readonly books = once(async (): Promise<Bookkeeper | null> => {
    const [store, provider] = [await this.store(), await this.provider()];
    if (provider.devices.every(({ uuid }) => uuid === null)) return null;
    const { Bookkeeper } = await import('./bookkeeper.ts');
    const { tariff } = pricesOf(this.#config);
    const log = (line: string) => this.#log(line);
    const { clock, telemetry, launch } = this;
    const books = await Bookkeeper.open({ clock, store, telemetry, provider, launch, tariff, log });
    if (books !== null) this.#stops.push(() => books.close());
    return books;
  });

  async machine(): ReturnType<App['machine']> {
    const known = once(() => this.telemetry.gpus());
    const devices = await devicesOf(this.#config.devices, { gpus: known });
    const cards = devices.some(({ kind }) => kind === 'cuda') ? await known() : [];
    const memoryOf = (uuid: string | null) => cards.find((card) => card.uuid === uuid)?.memory ?? null;
    return devices.map((device) => ({ device, memory: device.kind === 'cpu' ? totalmem() : memoryOf(device.uuid) }));
  }

  requireRoom(): Promise<void> {
    return this.#folder.requireRoom();
  }

  notifier(command: string | null): Notifier {
    const log = (line: string) => this.#log(line);
    return configuredNotifier({ notify: this.#config.notify, onDone: command, clock: this.clock, log });
  }

  restsFor(device: string): Millis {
    return this.#timetables.get(device)?.restsFor(this.clock.now()) ?? 0;
  }

  async queue(role: 'owner' | 'client'): Promise<BullmqQueue> {
    const queue = await this.#queues[role]();
    await queue.assertFit();
    return queue;
  }

  desk(): BullmqDesk | null {
    const { redisUrl: url, queue: name } = this.#config;
    if (this.#desk !== null || url === null) return this.#desk;
    const desk = new BullmqDesk({ connection: { url }, name, clock: this.clock, log: (line) => this.#log(line) });
    this.#stops.push(() => desk.close());
    this.#desk = desk;
    return desk;
  }

  async checked(): Promise<readonly Part[]> {
    return [
      ...hostParts(this.loaded),
      { name: 'gpu', check: () => this.telemetry.check() },
      // The first import of torch from a cold disk takes its time.
      { name: 'worker', limit: 150_000, check: async () => (await this.provider()).check() },
      { name: 'redis', check: async () => (await this.#queues[this.own() ? 'owner' : 'client']()).check() },
      { name: 'store', check: async () => (await this.store()).check() },
      { name: 'models', check: () => this.models.check() },
      { name: 'pictures', check: () => this.images.check() },
      { name: 'notices', check: () => this.notifier(null).check() },
      { name: 'pause', check: async () => pauseChecks(await pauseOf(await this.store()), this.clock.now()) },
    ];
  }

  async close(): Promise<void> {
    const faults: unknown[] = [];
    for (const stop of this.#stops.splice(0).reverse()) {
      try {
        await stop();
      } catch (error) {
        faults.push(error);
      }
    }
    this.#lock?.release();
    this.#lock = null;
    if (faults.length > 0) throw faults[0];
  }

  async #connect(role: 'owner' | 'client'): Promise<BullmqQueue> {
    const { redisUrl, queue: name } = this.#config;
    const server = redisUrl === null ? await this.#ownServer(role) : this.#sharedServer(role, redisUrl);
    const queue = new BullmqQueue({ ...server, name, clock: this.clock, log: (line) => this.#log(line) });
    this.#stops.push(() => queue.close());
    return queue;
  }

  /** Which others reach too. */
  #sharedServer(role: 'owner' | 'client', url: string): Pick<BullmqQueueOptions, 'connection' | 'owner'> {
    const { dataDir } = this.#config;
    const owner = { host: hostname(), dataDir, launch: this.launch };
    return { connection: { url }, ...(role === 'owner' ? { owner } : {}) };
  }

  /** Where the data folder's own Valkey listens; the owner starts it, and starts it again when it dies or hangs. */
  async #ownServer(role: 'owner' | 'client'): Promise<Pick<BullmqQueueOptions, 'connection' | 'onSilent'>> {
    const { dataDir, runtimeDir, python, redisBinary: binary } = this.#config;
    const socketPath = socketPathFor(dataDir, runtimeDir);
    if (role === 'client') return { connection: { socketPath } };
    const log = (line: string) => this.#log(line);
    const start = () =>
      startValkey({ python, dataDir, socketPath, log, clock: this.clock, ...(binary === null ? {} : { binary }) });
    const onLost = (error: AppError) => {
      this.#broken = error;
    };
    const room = () => this.#folder.hasRoom();
    const server = await keepRunning({ start, log, onLost, room, clock: this.clock });
    this.#stops.push(() => server.stop());
    const onSilent = () => server.restart('it has answered nothing for a minute');
    return { connection: { socketPath }, onSilent };
  }

  #log(line: string): void {
    if (this.#config.log.level === 'debug' || (this.#config.log.level !== 'error' && NOTEWORTHY.test(line)))
      this.io.err(line);
  }
}

/** What a worker warns of, and what happens to the queue's server; the rest is for `log.level: debug`. */
const NOTEWORTHY = /^queue: |^store: |^\S+: (warning|error): /;

/** A checkout is started by its script, because the path of its node has the version of Python in it. */
function startOf(main: string): readonly string[] {
  const script = join(ROOT, 'scripts', 'kilnwatt');
  return existsSync(script) ? [script] : [process.execPath, ...process.execArgv, main];
}

/** Built when first asked for; a part that failed to come up may be asked for again. */
function once<T>(build: () => Promise<T>): () => Promise<T> {
  let built: Promise<T> | null = null;
  return () => {
    built ??= build().catch((error: unknown) => {
      built = null;
      throw error;
    });
    return built;
  };
}

function uncolored(io: Io): Io {
  return Object.create(io, { color: { value: false } });
}

function millis(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

/** Looks before anything is queued; what is wrong inside the environment shows when the worker starts. */
async function requirePython(python: string): Promise<void> {
  const { ok, complaint } = await runBriefly(python, ['--version'], { limit: PYTHON_START_MS });
  if (ok) return;
  const sentence = `there is no Python at ${python}; run scripts/setup, or set python to the worker's interpreter (${complaint.split('\n', 1)[0]})`;
  throw new UnavailableError(sentence, { code: 'python_missing' });
}

/** From a cold disk. */
const PYTHON_START_MS = 30_000;
