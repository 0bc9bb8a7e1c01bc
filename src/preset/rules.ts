import type { Bytes } from '../units.ts';
import type { Anatomy } from './anatomy.ts';
import type { Facts } from './combinations.ts';
import type { Footprint } from './explanation.ts';
import type { PresetSettings } from './settings.ts';

/** What an engine with batches of one shape and size is worked out from. */
export interface FitQuestion {
  readonly settings: PresetSettings;
  readonly anatomy: Anatomy;
  readonly shape: { readonly width: number; readonly height: number; readonly guided: boolean };
  readonly batch: number;
  readonly device: 'cpu' | 'cuda';
  /** Of the files of LoRAs, which are kept beside the denoiser's weights. */
  readonly loraBytes?: Bytes;
}

/** What a choice is made by, besides what was learned. */
export interface Rules {
  /** Null where it cannot be told. */
  footprintOf(question: FitQuestion): Footprint | null;
  /** The rule that a combination breaks, and what cannot hold and why, in a clause; null where there is none. */
  impossible(settings: PresetSettings, facts: Facts): { readonly name: string; readonly because: string } | null;
  /** What is left to others of a memory of this size, and to what no footprint counts. */
  reserveOf(total: Bytes, device: 'cpu' | 'cuda'): Bytes;
}

/** Forbids nothing: what fits is found out by trying. */
export const PERMISSIVE: Rules = {
  footprintOf: () => null,
  impossible: () => null,
  reserveOf: () => 0,
};
