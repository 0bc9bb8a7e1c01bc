import { AppError, WorkerDied } from '../errors.ts';
import type { EngineSpec } from '../worker/engine.ts';

/** Deaths over the load of one engine, in a row, after which it is not tried any more. */
const DEATHS = 3;

/**
 * Engines of one device whose load ends the worker. Without it, a model that no worker survives would hold the device
 * down for a whole night. Forgotten with this process.
 */
export class LoadDeaths {
  readonly #device: string;
  readonly #deaths = new Map<string, { readonly count: number; readonly last: string }>();
  #loading = false;

  constructor(device: string) {
    this.#device = device;
  }

  /** To be called when a worker is up and begins to load: a death before that says nothing about the engine. */
  began(): void {
    this.#loading = true;
  }

  /** @throws AppError `model_kills_worker` instead of one try more */
  async over<Value>(spec: EngineSpec, load: () => Promise<Value>): Promise<Value> {
    this.#refuseDeadly(spec);
    this.#loading = false;
    try {
      const value = await load();
      this.#deaths.delete(spec.id);
      return value;
    } catch (error) {
      if (error instanceof WorkerDied && this.#loading) this.#count(spec.id, error.message);
      throw error;
    }
  }

  #refuseDeadly({ id, modelPath, preset }: EngineSpec): void {
    const { count, last } = this.#deaths.get(id) ?? { count: 0, last: '' };
    if (count < DEATHS) return;
    const what = `the worker on ${this.#device} died ${count} times in a row while it loaded ${modelPath} with ${preset.name}`;
    throw new AppError(`${what}, and it is not tried again: ${last}`, { code: 'model_kills_worker' });
  }

  #count(engine: string, last: string): void {
    this.#deaths.set(engine, { count: (this.#deaths.get(engine)?.count ?? 0) + 1, last });
  }
}
