import { AppError, WorkerDied } from '../errors.ts';
import { engineOf } from '../preset/engine.ts';
import { WorkerKilled } from '../worker/death.ts';
import type { EngineSpec } from '../worker/engine.ts';

/** Deaths over the load of one engine, in a row, after which it is not tried any more. */
const DEATHS = 3;

/**
 * Engines of one device whose load ends the worker. Without it, a model that no worker survives would hold the device
 * down for a whole night. Forgotten with this process.
 */
export class LoadDeaths {
  readonly #device: string;
  readonly #sound: Set<string>;
  readonly #deaths = new Map<string, { readonly count: number; readonly last: string }>();
  #loading = false;

  /** @param sound models with their presets that some device has loaded; what dies over one of them is a sick device */
  constructor(device: string, sound: Set<string>) {
    this.#device = device;
    this.#sound = sound;
  }

  /** To be called when a worker is up and begins to load: a death before that says nothing about the engine. */
  began(): void {
    this.#loading = true;
  }

  /**
   * @throws AppError `model_kills_worker` instead of one try more; `worker_died_loading` for a death, which no job is to
   * blame for: none of them had been looked at
   */
  async over<Value>(spec: EngineSpec, load: () => Promise<Value>): Promise<Value> {
    this.#refuseDeadly(spec);
    this.#loading = false;
    try {
      const value = await load();
      this.#sound.add(nameOf(spec));
      return value;
    } catch (error) {
      if (!(error instanceof WorkerDied)) throw error;
      // Whoever sent SIGKILL may do so over any model; if nothing else is to be had, the breaker lets the device rest.
      if (this.#loading && !(error instanceof WorkerKilled)) this.#count(nameOf(spec), error.message);
      throw new AppError(error.message, { code: 'worker_died_loading', retryable: true, cause: error });
    }
  }

  #refuseDeadly(spec: EngineSpec): void {
    const { count, last } = this.#deaths.get(nameOf(spec)) ?? { count: 0, last: '' };
    if (count < DEATHS || this.#sound.has(nameOf(spec))) return;
    const what = `it died ${count} times in a row while it loaded ${spec.modelPath} with ${spec.preset.name}`;
    throw new AppError(`the worker on ${this.#device} is not started for this model again: ${what}; ${last}`, {
      code: 'model_kills_worker',
    });
  }

  #count(engine: string, last: string): void {
    this.#deaths.set(engine, { count: (this.#deaths.get(engine)?.count ?? 0) + 1, last });
  }
}

function nameOf({ modelHash, preset }: EngineSpec): string {
  return `${modelHash} ${engineOf(preset)}`;
}
