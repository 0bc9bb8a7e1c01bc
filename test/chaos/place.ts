import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { socketPathFor } from '../../src/queue/valkey.ts';
import type { Millis } from '../../src/units.ts';
import { Kiln } from '../support/kiln.ts';
import { fakeScript } from './prompts.ts';

export type EngineKind = 'fake' | 'diffusers';

/** How long a worker may be silent or stand still there, before it counts as hung. */
export const HANG_LIMIT_MS: Readonly<Record<EngineKind, Millis>> = { fake: 2_000, diffusers: 15_000 };

const LOAD_LIMIT_S: Readonly<Record<EngineKind, number>> = { fake: 15, diffusers: 60 };

/** Words for `submit` and `run`: so little work a picture that the deaths take most of the time. */
export const FLAGS: Readonly<Record<EngineKind, readonly string[]>> = {
  fake: ['--steps', '4'],
  diffusers: ['--steps', '6'],
};

/** A machine of its own, with limits so small that a hang is found while somebody watches. */
export function chaosKiln(engine: EngineKind, devices: string): Kiln {
  const limit = String(HANG_LIMIT_MS[engine] / 1_000);
  const kiln = new Kiln({
    KILNWATT_MODEL: '',
    KILNWATT_LOG_LEVEL: 'debug',
    KILNWATT_WORKER_ENGINE: engine,
    KILNWATT_DEVICES: devices,
    KILNWATT_BATCH_LIMIT: '8',
    KILNWATT_LIMITS_HEARTBEAT_SECONDS: limit,
    KILNWATT_LIMITS_STEP_SECONDS: limit,
    // A worker that is met while it loads something else is not to be waited for until the patience is over.
    KILNWATT_LIMITS_LOAD_SECONDS: String(LOAD_LIMIT_S[engine]),
  });
  mkdirSync(outputsOf(kiln));
  return kiln;
}

/** What the workers of a launch get there besides. */
export function scriptOf(kiln: Kiln, engine: EngineKind, launch: number): Record<string, string> {
  if (engine !== 'fake') return {};
  const diskSeconds = launch % SLOW_EVERY === SLOW_AT ? SLOW_DISK_S : FAST_DISK_S;
  return { KW_FAKE: fakeScript(join(kiln.root, 'once'), diskSeconds) };
}

/** Before each picture. Only some launches have such a disk, or it would take most of the time. */
const SLOW_DISK_S = 0.3;
const FAST_DISK_S = 0.002;
const SLOW_EVERY = 4;
const SLOW_AT = 2;

/** Where the program's own queue server listens. */
export function socketOf(kiln: Kiln): string {
  return socketPathFor(kiln.data, join(kiln.root, 'kilnwatt'));
}

export function outputsOf(kiln: Kiln): string {
  return join(kiln.work, 'outputs');
}
