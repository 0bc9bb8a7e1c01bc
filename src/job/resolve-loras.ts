import type { Lora } from '../ports.ts';
import type { Request } from './request.ts';
import type { Said } from './said.ts';

/**
 * The request's LoRAs. One of weight 0 does nothing and is left out, so that its picture is the same as without.
 * @throws InputError `lora_missing`; `bad_request` for one that is named twice
 */
export function resolveLoras(said: Said, loras: ReadonlyMap<string, Lora>): Request['loras'] {
  const resolved: Request['loras'] = [];
  for (const { name, weight } of said.get('loras') ?? []) {
    const lora = loras.get(name);
    if (lora === undefined) throw said.refuse('loras', `there is no LoRA "${name}"`, 'lora_missing');
    if (resolved.some(({ hash }) => hash === lora.hash))
      throw said.refuse('loras', `the LoRA ${name} is named twice; name it once, with the sum of the weights`);
    if (weight !== 0) resolved.push({ name: lora.name, hash: lora.hash, weight });
  }
  return resolved;
}
