import type { Millis } from '../../src/units.ts';
import { seeded, shuffled } from '../support/rng.ts';

/** `worker`, `orchestrator`, `redis`: SIGKILL. `hang`: SIGSTOP of the worker, which is left to be noticed. */
export type StrikeKind = 'worker' | 'orchestrator' | 'redis' | 'hang';

/**
 * What a user does meanwhile: `restart` is a SIGTERM and another start, `interactive` one picture that is wanted at once.
 * Nothing may be lost or made twice for it either.
 */
export type ControlKind = 'restart' | 'pause' | 'pause_now' | 'cancel' | 'interactive';

export function isStrike(kind: StrikeKind | ControlKind): kind is StrikeKind {
  return ['worker', 'orchestrator', 'redis', 'hang'].includes(kind);
}

export interface Strike {
  readonly kind: StrikeKind | ControlKind;
  /** Not before so many jobs are settled: progress, and not time, so that a slow machine is struck as often as a fast one. */
  readonly after: number;
  /** And so much later, which meets a batch at any point of its way, and a start at any point of it. */
  readonly delay: Millis;
  /** Does not wait until the strike before has been recovered from. */
  readonly hurried: boolean;
  /** Of a worker: also while it starts or loads; else only while it has something to lose. */
  readonly anyMoment: boolean;
}

export interface ScheduleAsk {
  readonly seed: number;
  readonly jobs: number;
  /** Of worker and orchestrator together. */
  readonly kills: number;
  readonly redisKills: number;
  readonly hangs: number;
  /** Among the others; one that is `interactive` in the middle, where others wait. */
  readonly controls: readonly ControlKind[];
}

/** The last strike falls while there is still something to lose. */
const LAST_SHARE = 0.9;
const LONGEST_DELAY_MS: Millis = 400;
/** As long as a start takes, with its first load. */
const LONGEST_EARLY_DELAY_MS: Millis = 1_500;
const HURRIED_SHARE = 0.25;
const ANY_MOMENT_SHARE = 0.3;

/** Exactly as many strikes as asked for, spread over the whole work; always the same for the same question. */
export function scheduleOf(ask: ScheduleAsk): readonly Strike[] {
  const rng = seeded(ask.seed);
  const kinds = shuffled(kindsOf(ask), rng);
  const early = firsts(kinds);
  const late = kinds.filter((_, at) => !early.includes(at));
  if (ask.controls.includes('interactive')) late.splice(Math.floor(late.length / 2), 0, 'interactive');
  const first = early.map((at) => earlyStrike(kinds[at] ?? 'worker', rng));
  let before = true;
  const others = late.map((kind, at): Strike => {
    const after = Math.floor((ask.jobs * LAST_SHARE * (at + rng())) / late.length);
    const hurried: boolean = !before && !isAlone(kind) && rng() < HURRIED_SHARE;
    before = hurried || isAlone(kind);
    const anyMoment = kind === 'worker' && rng() < ANY_MOMENT_SHARE;
    return { kind, after, delay: Math.floor(rng() * LONGEST_DELAY_MS), hurried, anyMoment };
  });
  return [...first, ...others];
}

/** Places of one of each kind that can be met at the very first start, where there are several. */
function firsts(kinds: readonly Strike['kind'][]): readonly number[] {
  const early: readonly StrikeKind[] = ['orchestrator', 'worker', 'redis'];
  return early.filter((kind) => kinds.indexOf(kind) !== kinds.lastIndexOf(kind)).map((kind) => kinds.indexOf(kind));
}

function earlyStrike(kind: Strike['kind'], rng: () => number): Strike {
  const delay = Math.floor(rng() * (kind === 'worker' ? LONGEST_DELAY_MS : LONGEST_EARLY_DELAY_MS));
  return { kind, after: 0, delay, hurried: true, anyMoment: true };
}

/** There are few of them, and each is to be seen undisturbed. */
function isAlone(kind: Strike['kind']): boolean {
  return kind !== 'worker' && kind !== 'orchestrator';
}

function kindsOf({ kills, redisKills, hangs, controls }: ScheduleAsk): readonly Strike['kind'][] {
  const of = (kind: StrikeKind, count: number) => Array.from({ length: count }, () => kind);
  const workers = Math.ceil(kills / 2);
  return [
    ...of('worker', workers),
    ...of('orchestrator', kills - workers),
    ...of('redis', redisKills),
    ...of('hang', hangs),
    ...controls.filter((kind) => kind !== 'interactive'),
  ];
}
