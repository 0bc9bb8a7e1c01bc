import type { Job, Lora } from '../ports.ts';
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

/** What a job says of the files of its request's LoRAs, of those that were found. */
export function filesOf(
  { loras }: Pick<Request, 'loras'>,
  found: ReadonlyMap<string, Lora>,
): Pick<Job, 'loraPaths' | 'loraBytes'> {
  const byHash = new Map([...found.values()].map((lora) => [lora.hash, lora]));
  const files = loras.flatMap(({ hash }) => byHash.get(hash) ?? []);
  return { loraPaths: files.map(({ path }) => path), loraBytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
}
