import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { Batch, Provider } from '../../src/ports.ts';
import { presetNamed } from '../../src/preset/catalogue.ts';
import { type Change, newBatch } from './batches.ts';

/** Words in prompts that the provider under test is told to misbehave on, and how slow its steps are. */
export interface Misbehaviour {
  /** Always a black picture. */
  readonly failOn: 'FAIL';
  readonly dieOn: 'DIE';
  /** A black picture without the safe settings. */
  readonly blackOn: 'BLACK';
  readonly stepMillis: number;
  readonly loadMillis: number;
  /** By the name of a preset: batches with more pixels run out of memory. */
  readonly memoryPixels: Readonly<Record<string, number>>;
}
/** What providers of these tests choose among, so that their words do not change with the catalogue. */
export const PRESETS_TRIED = ['plain', 'low-vram', 'fp32'].map((name) => presetNamed(name));

export type MakeProvider = (misbehaviour: Misbehaviour) => Provider;

/** Providers and batches for the tests of one `describe`, which are closed and removed after each. */
export interface Bench {
  opened(change?: Partial<Misbehaviour>): Provider;
  batchOf(prompts: readonly string[], change?: Change): Batch;
}

export function providerBench(make: MakeProvider): Bench {
  let folder: string;
  let batches = 0;
  const providers: Provider[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kilnwatt-provider-'));
  });
  afterEach(async () => {
    await Promise.all(providers.splice(0).map((provider) => provider.close()));
    await rm(folder, { recursive: true });
  });
  return {
    opened: (change = {}) => {
      const provider = make({
        failOn: 'FAIL',
        dieOn: 'DIE',
        blackOn: 'BLACK',
        stepMillis: 0,
        loadMillis: 0,
        memoryPixels: {},
        ...change,
      });
      providers.push(provider);
      return provider;
    },
    batchOf: (prompts, change = {}) => {
      batches += 1;
      return newBatch(folder, `launch-${batches}`, prompts, change);
    },
  };
}
