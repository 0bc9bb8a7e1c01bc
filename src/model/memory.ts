import type { Check, Lora, Model, ModelRegistry } from '../ports.ts';
import { loraMissing, modelMissing } from './failure.ts';

/** A registry of models that exist in name only. For tests. */
export class MemoryRegistry implements ModelRegistry {
  readonly #models: ReadonlyMap<string, Model>;
  readonly #loras: ReadonlyMap<string, Lora>;

  constructor(models: readonly Model[], loras: readonly Lora[] = []) {
    this.#models = new Map(models.map((model) => [model.name, model]));
    this.#loras = new Map(loras.map((lora) => [lora.name, lora]));
  }

  async resolve(name: string): Promise<Model> {
    const model = this.#models.get(name);
    if (model === undefined) throw modelMissing(name, 'memory', await this.list());
    return model;
  }

  async resolveLora(name: string): Promise<Lora> {
    const lora = this.#loras.get(name.replace(/\.safetensors$/, ''));
    if (lora === undefined) throw loraMissing(name, 'memory', [...this.#loras.keys()]);
    return lora;
  }

  async list(): Promise<readonly string[]> {
    return [...this.#models.keys()].sort();
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'models', status: 'ok', detail: `in memory: ${(await this.list()).join(', ')}` }];
  }
}
