import type { PresetSettings } from './settings.ts';

/**
 * How much is given up for memory: 0, nothing that pictures show or that every step waits for; 1, weights have fewer
 * bits, and pictures differ a little; 2, weights come to the card anew, for each batch or each step. `auto` goes to the
 * next only where nothing of the one before fits, however fast that may have been measured.
 */
export type Tier = 0 | 1 | 2;

/**
 * Shortcuts that are taken for speed (step caches, small decoders, sums in float16, rounded attention) make no tier: none
 * of the catalogue's presets with them may be chosen by `auto`, and who lets it choose one of his own wants it to be.
 */
export function tierOf({
  offload,
  quantize,
  quantize_text: text,
}: Pick<PresetSettings, 'offload' | 'quantize' | 'quantize_text'>): Tier {
  if (offload === 'model' || offload === 'group' || offload === 'sequential') return 2;
  return quantize === 'none' && text === 'none' ? 0 : 1;
}
