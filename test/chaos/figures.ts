import type { Millis } from '../../src/units.ts';
import type { Figure, Part } from './recovery.ts';

/** Seconds of one part of the recoveries. */
export interface PartFigures {
  readonly n: number;
  readonly median: number | null;
  readonly most: number | null;
  /** What was promised; null where nothing was. */
  readonly limit: number | null;
}

/** What a user may count on; null where nothing is promised. @param hang how long a worker may stand still */
export function promisedParts(hang: Millis): Readonly<Record<Part, Millis | null>> {
  return {
    worker_to_dispatchable: 1_000,
    worker_loaded_to_running: 1_000,
    orchestrator_to_dispatchable: 2_000,
    redis_to_progress: null,
    hang_to_found: hang + 1_000,
    hang_to_dispatchable: null,
  };
}

export type RecoveryFigures = Readonly<Record<Part, PartFigures>>;
type Limits = Readonly<Record<Part, Millis | null>>;

export function recoveryFigures(figures: readonly Figure[], limits: Limits): RecoveryFigures {
  const of = (part: Part): PartFigures => {
    const sorted = figures.flatMap((figure) => (figure.part === part ? [figure.took] : [])).sort((a, b) => a - b);
    const limit = limits[part];
    return {
      n: sorted.length,
      median: sorted.length === 0 ? null : seconds(sorted[Math.floor(sorted.length / 2)] ?? 0),
      most: sorted.length === 0 ? null : seconds(sorted.at(-1) ?? 0),
      limit: limit === null ? null : limit / 1_000,
    };
  };
  const parts = Object.keys(limits) as readonly Part[];
  return Object.fromEntries(parts.map((part) => [part, of(part)])) as RecoveryFigures;
}

export interface Lateness {
  /** A sentence for each figure over its limit. */
  readonly late: readonly string[];
  /**
   * And for each that would not be over it on a machine of its own: without what whoever measured was itself late by in that
   * time, or what the program was kept waiting for a processor, whichever is more.
   */
  readonly excused: readonly string[];
}

export function latenessOf(figures: readonly Figure[], limits: Limits): Lateness {
  const late: string[] = [];
  const excused: string[] = [];
  for (const { part, took, lag, waited } of figures) {
    const limit = limits[part];
    if (limit === null || took <= limit) continue;
    const promise = `${part} took ${seconds(took)} s, and ${limit / 1_000} s were promised`;
    const busy = `whoever measured was late by ${seconds(lag)} s, and the program waited ${seconds(waited)} s for a processor`;
    (took - Math.max(lag, waited) > limit ? late : excused).push(`${promise}; ${busy}`);
  }
  return { late, excused };
}

function seconds(millis: Millis): number {
  return Math.round(millis) / 1_000;
}
