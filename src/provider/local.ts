import { UnavailableError } from '../errors.ts';
import type { Batch, BatchResult, Check, Clock, Device, Job, Provider } from '../ports.ts';
import type { Choice } from '../preset/explanation.ts';
import { type LimitSettings, workerLimits } from '../worker/limits.ts';
import { Supervisor, type SupervisorOptions } from '../worker/supervisor.ts';
import { Calls } from './calls.ts';
import { type ChoiceParts, Chooser } from './chooser.ts';
import { LoadDeaths } from './load-deaths.ts';
import { makeBatch, type Place } from './local-batch.ts';
import { checkPython } from './python-check.ts';
import { firstOf } from './refusal.ts';
import { Rungs, type RungsOptions } from './rungs.ts';

/** When a device is left alone, and when its worker is replaced or ended without need: as the supervisor has it. */
type Care = Pick<SupervisorOptions, 'breaker' | 'recycle' | 'idleUnload'>;

export interface LocalProviderOptions extends Partial<Care>, ChoiceParts, Pick<RungsOptions, 'spills'> {
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
  readonly #chooser: Chooser;
  readonly #rungs: Rungs;

  constructor(options: LocalProviderOptions) {
    this.devices = options.devices;
    this.#options = options;
    const sound = new Set<string>();
    this.#chooser = new Chooser({
      ...options,
      loaded: (device) => this.#placeOf(device).supervisor.engine?.spec ?? null,
    });
    const { spills = false } = options;
    this.#rungs = new Rungs({ chooser: this.#chooser, spills, log: (line) => options.log(line) });
    const onGone = (device: Device) => this.#chooser.gone(device);
    this.#places = new Map(options.devices.map((device) => [device.id, placeFor(device, options, sound, onGone)]));
  }

  limit(job: Job, device: string, safe: boolean): number {
    return this.#rungs.limit(job, this.#placeOf(device).device, safe);
  }

  explain(job: Job, device: string): Choice {
    return this.#rungs.explain(job, this.#placeOf(device).device);
  }

  resident(device: string): string | null {
    return this.#placeOf(device).supervisor.engine?.spec.modelHash ?? null;
  }

  pids(device: string): readonly number[] {
    const { pid } = this.#placeOf(device).supervisor;
    return pid === undefined ? [] : [pid];
  }

  quarantine(device: string): ReturnType<Provider['quarantine']> {
    return this.#placeOf(device).supervisor.quarantine;
  }

  make(batch: Batch, { signal, givenUp, onProgress }: Parameters<Provider['make']>[1]): Promise<BatchResult> {
    return this.#calls.run(batch.device, signal, async (either) => {
      const place = this.#placeOf(batch.device);
      return await this.#rungs.make(batch, place.device, (preset) =>
        makeBatch(place, batch, preset, {
          clock: this.#options.clock,
          signal: either,
          givenUp: givenUp ?? new Map(),
          isTight: () => this.#chooser.isTight(firstOf(batch), place.device, preset),
          onMemory: (memory) => this.#chooser.heard(place.device, memory),
          onProgress: (progress) => onProgress?.(progress),
        }),
      );
    });
  }

  async rest(device: string): Promise<void> {
    const { supervisor } = this.#placeOf(device);
    this.#calls.requireIdle(device);
    await supervisor.stop();
  }

  check(): Promise<readonly Check[]> {
    return checkPython(this.#options);
  }

  async close(): Promise<void> {
    this.#calls.close();
    await Promise.all([...this.#places.values()].map(({ supervisor }) => supervisor.stop()));
  }

  #placeOf(device: string): Place {
    const place = this.#places.get(device);
    if (place !== undefined) return place;
    const known = this.devices.map(({ id }) => id).join(', ');
    throw new UnavailableError(`there is no device ${device} here; use one of ${known}`, { code: 'device_missing' });
  }
}

function placeFor(
  device: Device,
  options: LocalProviderOptions,
  sound: Set<string>,
  onGone: (device: Device) => void,
): Place {
  const { python, workerDir, engine, env, clock, launch, limits, rng, log } = options;
  const loadDeaths = new LoadDeaths(device.id, sound);
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
    onState: (state) => {
      log(`${device.id}: debug: the worker is ${state}`);
      if (state === 'loading') loadDeaths.began();
      if (state === 'down' || state === 'quarantined') onGone(device);
    },
    ...careOf(options),
  });
  const onProcessors = options.devices.filter(({ kind }) => kind === 'cpu').length;
  return { device, supervisor, loadDeaths, sharesProcessors: device.kind === 'cpu' && onProcessors > 1 };
}

/** Without what was left out, so that the supervisor's own defaults hold. */
function careOf({ breaker, recycle, idleUnload }: Partial<Care>): Partial<Care> {
  return {
    ...(breaker === undefined ? {} : { breaker }),
    ...(recycle === undefined ? {} : { recycle }),
    ...(idleUnload === undefined ? {} : { idleUnload }),
  };
}
