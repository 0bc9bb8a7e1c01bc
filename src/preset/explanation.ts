import type { Bytes, Seconds } from '../units.ts';
import type { Preset } from './catalogue.ts';

/** How a figure was come by: seen on this device, worked out from the model's anatomy, or a constant of ours. */
export type Ground = 'learned' | 'computed' | 'assumed';

/** One line of a fit test. Parts that are never in memory together are not added up; see {@link Footprint}. */
export interface Part {
  /** `weights of the denoiser`, `activations of a denoise step`, `decode`, `reserve` … */
  readonly what: string;
  readonly bytes: Bytes;
  readonly ground: Ground;
  /** How the figure came about: `2,567 M parameters in float16`. */
  readonly detail: string;
}

/** What an engine takes with batches of one shape and size. */
export interface Footprint {
  /** The most at one time on the device, the reserve left out. */
  readonly deviceBytes: Bytes;
  /** The most at one time in the host's memory; on a CPU, the same memory as the device's. */
  readonly hostBytes: Bytes;
  readonly ground: Ground;
  readonly parts: readonly Part[];
}

/** A preset with a size of batch that `auto`, or the ladder of a named preset, looked at. */
export interface Considered {
  readonly preset: string;
  readonly batch: number;
  /** Null where it was ruled out before its memory was looked at. */
  readonly footprint: Footprint | null;
  readonly verdict: 'chosen' | 'fits' | 'too large' | 'ran out of memory' | 'impossible' | 'not measured';
  /** One clause: why it was not chosen, or why it was. */
  readonly why: string;
  /** Of one picture; null where nothing is known. */
  readonly seconds: Seconds | null;
  readonly secondsGround: Ground | null;
}

/** What jobs of one kind are made with on a device, and what else was looked at. */
export interface Choice {
  readonly preset: Preset;
  /** How many pictures a batch may hold. */
  readonly limit: number;
  readonly reason: string;
  /** Of the device and of the host, for an engine of ours; null where it is not known. */
  readonly room: { readonly device: Bytes | null; readonly host: Bytes | null; readonly reserve: Bytes };
  /** The best first. */
  readonly considered: readonly Considered[];
}
