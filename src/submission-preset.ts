import { InputError } from './errors.ts';
import type { Wanted } from './job/resolve.ts';
import type { Model } from './ports.ts';
import { AUTO, type Preset, presetNamed } from './preset/catalogue.ts';
import { factsOf, impossible } from './preset/combinations.ts';

/**
 * Refuses pictures whose model or LoRAs a preset cannot hold with. What depends on the device, which is not known yet,
 * the worker refuses before it loads anything.
 * @throws InputError `preset_impossible` with the place of the first such picture; `preset_unknown`
 */
export function refuseImpossible(
  name: string,
  presets: readonly Preset[],
  wanted: readonly Pick<Wanted, 'request' | 'place'>[],
  models: ReadonlyMap<string, Model>,
): void {
  if (name === AUTO) return;
  const { settings } = presetNamed(name, presets);
  const byHash = new Map([...models.values()].map((model) => [model.hash, model]));
  for (const { request, place } of wanted) {
    const model = byHash.get(request.modelHash);
    const facts = { ...(model === undefined ? {} : factsOf(model)), loras: request.loras.length > 0 };
    const found = impossible(settings, facts);
    if (found === null) continue;
    const sentence = `the preset ${name} cannot make ${request.model}: ${found.because}`;
    throw new InputError(sentence, { code: 'preset_impossible', place });
  }
}
