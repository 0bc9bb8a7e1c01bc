import type { Lora } from '../ports.ts';
import type { Request } from './request.ts';
import type { Said } from './said.ts';

/** A LoRA as a line or the command line named it. */
export interface LoraDraft {
  /** A path, or a name in the folder of LoRAs. */
  readonly name: string;
  readonly weight: number;
}

export const MAX_LORA_WEIGHT = 100;

/** Reads `NAME` or `NAME:WEIGHT`; undefined where it is neither. A comma is a decimal point too. */
export function parseLora(text: string): LoraDraft | undefined {
  const { name = '', weight = '1' } = NAME_AND_WEIGHT.exec(text.trim())?.groups ?? {};
  const number = Number(weight.replace(',', '.'));
  if (name === '' || Number.isNaN(number) || Math.abs(number) > MAX_LORA_WEIGHT) return undefined;
  return { name, weight: number };
}

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

const NAME_AND_WEIGHT = /^(?<name>.*?)\s*(?::\s*(?<weight>[^:]*))?$/s;
