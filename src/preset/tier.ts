import type { PresetSettings } from './settings.ts';
import { type DeviceKind, offloadIn } from './weights.ts';

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
export function tierOf(
  settings: Pick<PresetSettings, 'offload' | 'quantize' | 'quantize_text'>,
  device: DeviceKind,
): Tier {
  const offload = offloadIn(settings, device);
  if (offload !== 'none' && offload !== 'text_encoders') return 2;
  return settings.quantize === 'none' && settings.quantize_text === 'none' ? 0 : 1;
}
