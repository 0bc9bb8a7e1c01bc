import type { Millis } from '../units.ts';

/** Jobs of one batch key that wait to travel, oldest first. */
export interface Lane {
  readonly key: string;
  /** Lower goes first: interactive before bulk, and in each the clean before the suspects. */
  readonly rank: number;
  /** Content hash of the model that these jobs need. */
  readonly model: string;
  /** When each waiting job came into the window, oldest first. */
  readonly since: readonly Millis[];
}

export interface Pick {
  readonly key: string;
  readonly count: number;
}

export interface PickRules {
  readonly now: Millis;
  /** Model that the device has loaded; a change costs a load. */
  readonly resident: string | null;
  limit(key: string): number;
  /** A job that waited longer than this goes first, whatever model it needs. */
  readonly patience: Millis;
}

/**
 * Who travels next, among the lanes of the lowest rank: the oldest full lane of the resident model, else its oldest
 * lane, else the same among all of them. None of them starves: one whose head waited beyond `patience` comes before all
 * others. Pure; null when nobody waits.
 */
export function pick(lanes: readonly Lane[], rules: PickRules): Pick | null {
  const first = Math.min(...lanes.filter((lane) => lane.since.length > 0).map((lane) => lane.rank));
  const waiting = lanes.filter((lane) => lane.since.length > 0 && lane.rank === first);
  const starved = waiting.filter((lane) => rules.now - headOf(lane) > rules.patience);
  const resident = waiting.filter((lane) => lane.model === rules.resident);
  const candidates = starved.length > 0 ? starved : resident.length > 0 ? resident : waiting;
  const full = candidates.filter((lane) => lane.since.length >= rules.limit(lane.key));
  const chosen = oldest(starved.length > 0 || full.length === 0 ? candidates : full);
  return chosen === undefined
    ? null
    : { key: chosen.key, count: Math.min(chosen.since.length, rules.limit(chosen.key)) };
}

function oldest(lanes: readonly Lane[]): Lane | undefined {
  return lanes.reduce<Lane | undefined>(
    (best, lane) => (best === undefined || headOf(lane) < headOf(best) ? lane : best),
    undefined,
  );
}

function headOf(lane: Lane): Millis {
  return lane.since[0] ?? Number.POSITIVE_INFINITY;
}

/** How many jobs to look ahead: Σ over devices of 2 × limit × min(live keys, 4), at most 256. */
export function windowFor(limits: readonly number[], liveKeys: number): number {
  const keys = Math.min(Math.max(liveKeys, 1), 4);
  return Math.min(
    256,
    limits.reduce((sum, limit) => sum + 2 * limit * keys, 0),
  );
}
