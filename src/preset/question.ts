import type { Fit } from './belief.ts';
import type { Preset } from './catalogue.ts';
import type { Choice, Footprint } from './explanation.ts';
import type { Measured, Speed } from './speed.ts';

/** All that a choice goes by: for jobs of one kind, on one device, now. */
export interface Asked {
  /** Among them `auto` chooses freely; else they are the preset that was asked for and those below it, in that order. */
  readonly candidates: readonly Preset[];
  readonly auto: boolean;
  /** Denoise steps of a picture. */
  readonly steps: number;
  /** How many pictures a batch may hold at most, instead of what the presets say. */
  readonly most: number | undefined;
  readonly room: Choice['room'];
  /** Null where it cannot be told. */
  footprintOf(preset: Preset, batch: number): Footprint | null;
  /** Why it cannot hold here; null where it can. */
  ruledOut(preset: Preset): string | null;
  /** Of this device, model and shape. */
  readonly measured: readonly Measured[];
  /** What ran out of memory there, by engine. */
  readonly fits: ReadonlyMap<string, Fit>;
  /** The engine that is loaded with this model; null for none. */
  readonly current: string | null;
  /** For the sentence, `1024x1024 does not fit on cuda:0`. */
  readonly size: string;
  readonly device: string;
  readonly kind: 'cpu' | 'cuda';
}

/** Nothing is left to try: why, in a sentence. */
export interface Exhausted {
  readonly exhausted: string;
  readonly code: 'out_of_memory' | 'preset_impossible';
}

/** A preset with a size of batch that may be tried. */
export interface Option {
  readonly preset: Preset;
  readonly engine: string;
  readonly batch: number;
  readonly footprint: Footprint | null;
  readonly speed: Speed;
  /** By the newest measurement, else by the fit test. */
  readonly fits: boolean;
}
