import { UnavailableError } from '../errors.ts';
import type { Batch, BatchResult, Check, Clock, Device, Provider } from '../ports.ts';
import { PRESETS } from '../preset/catalogue.ts';
import { type LimitSettings, workerLimits } from '../worker/limits.ts';
import { Supervisor } from '../worker/supervisor.ts';
import { Calls } from './calls.ts';
import { failedBy, makeBatch, type Place } from './local-batch.ts';
import { checkPython } from './python-check.ts';

export interface LocalProviderOptions {
  readonly devices: readonly Device[];
  /** The interpreter of the environment that the worker's packages are in. */
  readonly python: string;
  /** The folder that holds the package `kilnwatt_worker`. */
  readonly workerDir: string;
  /** `fake` is for tests and for measuring ourselves. */
  readonly engine: 'diffusers' | 'fake';
  /** Id of this process's launch; those of the workers begin with it. */
  readonly launch: string;
  readonly clock: Clock;
  /** Lines of the workers' logs, each with its device. */
  log(line: string): void;
  readonly limits?: LimitSettings;
  /** Overrides how many jobs a batch may hold. */
  readonly limit?: number;
  /** For the workers, besides our own. */
  readonly env?: Readonly<Record<string, string>>;
  /** 0 … 1, for the jitter of restarts. */
  readonly rng?: () => number;
}

/** The cards and processors of this machine: one supervised Python worker a device. */
export class LocalProvider implements Provider {
  readonly name = 'local';
  readonly devices: readonly Device[];
  readonly #options: LocalProviderOptions;
  readonly #places: ReadonlyMap<string, Place>;
  readonly #calls = new Calls('local');
  /** By device and batch key: what is left to try after batches that did not fit into memory. */
  readonly #learned = new Map<string, number>();

  constructor(options: LocalProviderOptions) {
    this.devices = options.devices;
    this.#options = options;
    this.#places = new Map(options.devices.map((device) => [device.id, placeFor(device, options)]));
  }

  /**
   * The preset decides, whose name the key begins with; a preset that nobody knows fails at `make`. A batch that ran
   * out of memory is tried again at half its size on that device.
   */
  limit(key: string, device: string): number {
    const preset = PRESETS.find((candidate) => key.startsWith(`${candidate.name}:`));
    const limit = this.#options.limit ?? preset?.batchLimit ?? 1;
    return Math.min(limit, this.#learned.get(learnedKey(key, device)) ?? limit);
  }

  resident(device: string): string | null {
    return this.#placeOf(device).supervisor.engine?.spec.modelHash ?? null;
  }

  async make(batch: Batch, { signal, onProgress }: Parameters<Provider['make']>[1]): Promise<BatchResult> {
    const result = await this.#calls.run(signal, (either) =>
      makeBatch(this.#placeOf(batch.device), batch, {
        clock: this.#options.clock,
        signal: either,
        onProgress: (progress) => onProgress?.(progress),
      }),
    );
    if (failedBy(result, 'out_of_memory')) this.#learn(batch);
    return result;
  }

  check(): Promise<readonly Check[]> {
    return checkPython(this.#options);
  }

  async close(): Promise<void> {
    this.#calls.close();
    await Promise.all([...this.#places.values()].map(({ supervisor }) => supervisor.stop()));
  }

  /** Only ever less: half of a batch that was formed before a smaller one failed may be too large again. */
  #learn({ key, device, jobs }: Batch): void {
    const half = Math.max(1, Math.floor(jobs.length / 2));
    this.#learned.set(learnedKey(key, device), Math.min(half, this.limit(key, device)));
  }

  #placeOf(device: string): Place {
    const place = this.#places.get(device);
    if (place !== undefined) return place;
    const known = this.devices.map(({ id }) => id).join(', ');
    throw new UnavailableError(`there is no device ${device} here; use one of ${known}`, { code: 'device_missing' });
  }
}

function learnedKey(key: string, device: string): string {
  return `${device} ${key}`;
}

function placeFor(device: Device, options: LocalProviderOptions): Place {
  const { python, workerDir, engine, env, clock, launch, limits, rng, log } = options;
  const supervisor = new Supervisor({
    device: device.id,
    address: device.kind === 'cuda' ? 'cuda:0' : 'cpu',
    worker: {
      command: python,
      // -P: a file of the working folder must not stand in for a package of the same name.
      args: ['-P', '-u', '-m', 'kilnwatt_worker', '--engine', engine],
      // Torch and nvidia-smi number cards differently; by its UUID a card is itself.
      env: { ...env, PYTHONPATH: workerDir, ...(device.uuid === null ? {} : { CUDA_VISIBLE_DEVICES: device.uuid }) },
    },
    launch,
    clock,
    limits: workerLimits(device.kind, limits),
    rng: rng ?? Math.random,
    onLog: (line) => log(`${device.id}: ${line}`),
  });
  return { device, supervisor };
}
