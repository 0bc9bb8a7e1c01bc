import { AppError, WorkerDied } from '../errors.ts';
import { engineOf } from '../preset/engine.ts';
import { WorkerKilled } from '../worker/death.ts';
import type { EngineSpec } from '../worker/engine.ts';

/** Deaths over the load of one engine, in a row, after which it is not tried any more. */
const DEATHS = 3;
/**
 * Loads of one engine, in a row, that were ended by SIGKILL, from which on that counts as out of memory. It is what the
 * kernel does when the host's memory runs out, and what a user may do once. An engine that some worker has loaded before
 * needs more of a proof that it does not fit any more.
 */
const KILLS = { unknown: 2, sound: 4 } as const;

/**
 * Engines of one device whose load ends the worker. Without it, a model that no worker survives would hold the device
 * down for a whole night. Forgotten with this process.
 */
export class LoadDeaths {
  readonly #device: string;
  readonly #sound: Set<string>;
  readonly #deaths = new Map<string, { readonly count: number; readonly last: string }>();
  readonly #kills = new Map<string, number>();
  #loading = false;

  /** @param sound engines that some device has loaded; what dies over one of them is a sick device */
  constructor(device: string, sound: Set<string>) {
    this.#device = device;
    this.#sound = sound;
  }

  /** To be called when a worker is up and begins to load: a death before that says nothing about the engine. */
  began(): void {
    this.#loading = true;
  }

  /**
   * @param isTight whether the engine needs about all of the host's memory that there is, or more
   * @throws AppError `model_kills_worker` instead of one try more; `out_of_memory` where the kernel has ended the load
   *   for want of memory; `worker_died_loading` for another death, which no job is to blame for: none of them had been
   *   looked at
   */
  async over<Value>(spec: EngineSpec, isTight: () => boolean, load: () => Promise<Value>): Promise<Value> {
    this.#refuseDeadly(spec);
    this.#loading = false;
    const name = nameOf(spec);
    try {
      const value = await load();
      this.#sound.add(name);
      this.#kills.delete(name);
      return value;
    } catch (error) {
      if (!(error instanceof WorkerDied)) throw error;
      if (this.#loading && error instanceof WorkerKilled) this.#countKill(name, isTight(), error);
      else if (this.#loading) this.#count(name, error.message);
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

  /** @throws AppError `out_of_memory` once that is what it must have been */
  #countKill(engine: string, isTight: boolean, { message, cause }: WorkerKilled): void {
    const kills = (this.#kills.get(engine) ?? 0) + 1;
    this.#kills.set(engine, kills);
    const most = this.#sound.has(engine) ? KILLS.sound : KILLS.unknown;
    if (!isTight && kills < most) return;
    this.#kills.delete(engine);
    const why = isTight
      ? 'it needs about all of the host’s memory'
      : `that came ${kills} times in a row over this load`;
    throw new AppError(`${message}; ${why}, so it is counted as out of memory`, {
      code: 'out_of_memory',
      retryable: true,
      cause,
    });
  }
}

function nameOf({ modelHash, preset }: EngineSpec): string {
  return `${modelHash} ${engineOf(preset)}`;
}
