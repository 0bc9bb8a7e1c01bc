import type { Millis } from '../../src/units.ts';
import { seeded, shuffled } from './rng.ts';

/** `worker`, `orchestrator`, `redis`: SIGKILL. `hang`: SIGSTOP of the worker, which is left to be noticed. */
export type StrikeKind = 'worker' | 'orchestrator' | 'redis' | 'hang';

export interface Strike {
  readonly kind: StrikeKind;
  /** Not before so many jobs are settled: progress, and not time, so that a slow machine is struck as often as a fast one. */
  readonly after: number;
  /** And so much later, which meets a batch at any point of its way. */
  readonly delay: Millis;
  /** Does not wait until the strike before has been recovered from. */
  readonly hurried: boolean;
}

export interface ScheduleAsk {
  readonly seed: number;
  readonly jobs: number;
  /** Of worker and orchestrator together. */
  readonly kills: number;
  readonly redisKills: number;
  readonly hangs: number;
}

/** The last strike falls while there is still something to lose. */
const LAST_SHARE = 0.9;
const LONGEST_DELAY_MS: Millis = 400;
const HURRIED_SHARE = 0.25;

/** Exactly as many strikes as asked for, spread over the whole work; always the same for the same question. */
export function scheduleOf(ask: ScheduleAsk): readonly Strike[] {
  const rng = seeded(ask.seed);
  const kinds = shuffled(kindsOf(ask), rng);
  let before = true;
  return kinds.map((kind, at) => {
    const after = Math.floor((ask.jobs * LAST_SHARE * (at + rng())) / kinds.length);
    const hurried: boolean = !before && !isAlone(kind) && rng() < HURRIED_SHARE;
    before = hurried || isAlone(kind);
    return { kind, after, delay: Math.floor(rng() * LONGEST_DELAY_MS), hurried };
  });
}

/** There are few of them, and each is to be measured undisturbed. */
function isAlone(kind: StrikeKind): boolean {
  return kind === 'redis' || kind === 'hang';
}

function kindsOf({ kills, redisKills, hangs }: ScheduleAsk): readonly StrikeKind[] {
  const of = (kind: StrikeKind, count: number) => Array.from({ length: count }, () => kind);
  const workers = Math.ceil(kills / 2);
  return [
    ...of('worker', workers),
    ...of('orchestrator', kills - workers),
    ...of('redis', redisKills),
    ...of('hang', hangs),
  ];
}
