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

export function recoveryFigures(figures: readonly Figure[], limits: Readonly<Record<Part, Millis | null>>) {
  const of = (part: Part): PartFigures => {
    const took = figures.filter(([name]) => name === part).map(([, millis]) => millis);
    const sorted = took.toSorted((a, b) => a - b);
    const limit = limits[part];
    return {
      n: sorted.length,
      median: seconds(sorted[Math.floor(sorted.length / 2)]),
      most: seconds(sorted.at(-1)),
      limit: limit === null ? null : limit / 1_000,
    };
  };
  const parts = Object.keys(limits) as readonly Part[];
  return Object.fromEntries(parts.map((part) => [part, of(part)])) as RecoveryFigures;
}

/** A sentence for each part that took longer than was promised. */
export function lateParts(figures: RecoveryFigures): readonly string[] {
  return Object.entries(figures).flatMap(([part, { most, limit }]) =>
    most !== null && limit !== null && most > limit ? [`${part} took ${most} s, and ${limit} s were promised`] : [],
  );
}

function seconds(millis: Millis | undefined): number | null {
  return millis === undefined ? null : Math.round(millis) / 1_000;
}
