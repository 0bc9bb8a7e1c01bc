import type { Fit } from '../../src/preset/belief.ts';
import { type Preset, presetSchema } from '../../src/preset/catalogue.ts';
import { choose } from '../../src/preset/choice.ts';
import { engineOf } from '../../src/preset/engine.ts';
import type { Choice, Footprint } from '../../src/preset/explanation.ts';
import type { Asked } from '../../src/preset/question.ts';
import { type Measured, SURE } from '../../src/preset/speed.ts';

export const GB = 1e9;

export function presetOf(name: string, change: Readonly<Record<string, unknown>> = {}): Preset {
  return { name, ...presetSchema.parse({ auto: 'fit', ...change }) };
}

export function footprintOf(gigabytes: number, hostGigabytes = 0): Footprint {
  return { deviceBytes: gigabytes * GB, hostBytes: hostGigabytes * GB, ground: 'computed', parts: [] };
}

/** Of this many seconds a picture, in 10 steps and with nothing besides; in so many batches that it is believed. */
export function measuredOf(preset: Preset, batch: number, seconds: number, gigabytes: number): Measured {
  const stepSeconds = (seconds * batch) / 10;
  return { engine: engineOf(preset), batch, stepSeconds, otherSeconds: 0, peakBytes: gigabytes * GB, count: SURE };
}

/** A question of `auto`, of 10 steps, on a device of 24 GB that nothing is known to fit on or not. */
export function askedOf(candidates: readonly Preset[], change: Partial<Asked> = {}): Asked {
  return {
    candidates,
    auto: true,
    steps: 10,
    most: undefined,
    room: { device: 24 * GB, host: 32 * GB, reserve: GB },
    footprintOf: () => null,
    ruledOut: () => null,
    measured: [],
    fits: new Map<string, Fit>(),
    current: null,
    size: '1024x1024',
    device: 'cuda:0',
    kind: 'cuda',
    ...change,
  };
}

/** @throws Error where nothing is left to try */
export function chosenOf(asked: Asked): Choice {
  const outcome = choose(asked);
  if ('exhausted' in outcome) throw new Error(outcome.exhausted);
  return outcome;
}

/** `plain 4` */
export function pickOf(asked: Asked): string {
  const outcome = choose(asked);
  return 'exhausted' in outcome ? outcome.exhausted : `${outcome.preset.name} ${outcome.limit}`;
}
