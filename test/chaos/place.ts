import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Millis } from '../../src/units.ts';
import { Kiln } from '../support/kiln.ts';
import { fakeScript } from './prompts.ts';

export type EngineKind = 'fake' | 'diffusers';

/** How long a worker may be silent or stand still there, before it counts as hung. */
export const HANG_LIMIT_MS: Readonly<Record<EngineKind, Millis>> = { fake: 2_000, diffusers: 15_000 };

/** Words for `submit` and `run`: so little work a picture that the deaths take most of the time. */
export const FLAGS: Readonly<Record<EngineKind, readonly string[]>> = {
  fake: ['--steps', '4'],
  diffusers: ['--steps', '6'],
};

/** A machine of its own, with limits so small that a hang is found while somebody watches. */
export function chaosKiln(engine: EngineKind): Kiln {
  const limit = String(HANG_LIMIT_MS[engine] / 1_000);
  const kiln = new Kiln({
    KILNWATT_MODEL: '',
    KILNWATT_LOG_LEVEL: 'debug',
    KILNWATT_WORKER_ENGINE: engine,
    KILNWATT_BATCH_LIMIT: '8',
    KILNWATT_LIMITS_HEARTBEAT_SECONDS: limit,
    KILNWATT_LIMITS_STEP_SECONDS: limit,
  });
  mkdirSync(outputsOf(kiln));
  return kiln;
}

/** What the workers get there besides. */
export function scriptOf(kiln: Kiln, engine: EngineKind): Record<string, string> {
  return engine === 'fake' ? { KW_FAKE: fakeScript(join(kiln.root, 'once')) } : {};
}

export function outputsOf(kiln: Kiln): string {
  return join(kiln.work, 'outputs');
}
