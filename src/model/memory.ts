import type { Check, Model, ModelRegistry } from '../ports.ts';
import { modelMissing } from './failure.ts';

/** A registry of models that exist in name only. For tests. */
export class MemoryRegistry implements ModelRegistry {
  readonly #models: ReadonlyMap<string, Model>;

  constructor(models: readonly Model[]) {
    this.#models = new Map(models.map((model) => [model.name, model]));
  }

  async resolve(name: string): Promise<Model> {
    const model = this.#models.get(name);
    if (model === undefined) throw modelMissing(name, 'memory', await this.list());
    return model;
  }

  async list(): Promise<readonly string[]> {
    return [...this.#models.keys()].sort();
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'models', status: 'ok', detail: `in memory: ${(await this.list()).join(', ')}` }];
  }
}
