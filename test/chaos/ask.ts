import type { Kiln } from '../support/kiln.ts';
import { type Driver, runDriver, serveDriver } from './driver.ts';
import { type EngineKind, FLAGS, scriptOf } from './place.ts';
import type { Planted } from './prompts.ts';
import type { ControlKind } from './schedule.ts';
import { chunksOf } from './submissions.ts';

export interface ChaosAsk {
  readonly seed: number;
  readonly jobs: number;
  /** SIGKILLs of worker and orchestrator together. */
  readonly kills: number;
  readonly redisKills: number;
  /** SIGSTOPs of the worker. */
  readonly hangs: number;
  /** So many of each kind of what a user does meanwhile; one picture is wanted at once where there is any. */
  readonly controls: number;
  readonly poison: number;
  readonly engine: EngineKind;
  /** Workers on the CPU; with diffusers one. */
  readonly workers: number;
  readonly driver: 'serve' | 'run';
  /** Gives up when it is aborted, with its reason. */
  readonly signal?: AbortSignal;
  /** Told now and then how it stands. */
  say(sentence: string): void;
}

/** Who submits and who works, as it was asked for. */
export function driverFor({ engine, driver }: ChaosAsk, kiln: Kiln, planted: Planted): Driver {
  const env = (launch: number) => scriptOf(kiln, engine, launch);
  const parts = { kiln, flags: FLAGS[engine], env };
  if (driver === 'serve') return serveDriver(parts);
  const [chunk = { name: 'chaos', prompts: [] }] = chunksOf(planted.prompts, 'one');
  return runDriver(parts, chunk);
}

/**
 * A `run` works off its own pictures alone, so nothing can be wanted between them; and one that is started again after a
 * death asks for its cancelled pictures too.
 */
export function controlsFor({ controls, driver }: ChaosAsk): readonly ControlKind[] {
  const some = (kinds: readonly ControlKind[]) => kinds.flatMap((kind) => Array.from({ length: controls }, () => kind));
  const all = some(['restart', 'pause', 'pause_now']);
  return driver === 'serve' && controls > 0 ? [...all, ...some(['cancel']), 'interactive'] : all;
}
