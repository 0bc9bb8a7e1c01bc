import type { JobRow, LineIdentity } from '../ports.ts';
import { baseKey, isSeeded, type Wanted } from './resolve.ts';

/**
 * Finds for each wanted picture the job that a run already has for it; each job is given once.
 *
 * A line that gave a seed is known by it: another seed is another picture. A line that gave none is known
 * by its request, its occurrence among equal lines and its k of n; where equal lines came or went, the
 * rest are given in their order. A seed that was drawn and is now written into its line finds its job,
 * and so does a line whose seed was struck out.
 */
export function matchRows(rows: readonly JobRow[], wanted: readonly Wanted[]): readonly (JobRow | undefined)[] {
  const found: (JobRow | undefined)[] = wanted.map(() => undefined);
  if (rows.length === 0) return found;
  const pool = new Pool(rows, wanted);
  for (const finder of FINDERS) {
    for (const [at, one] of wanted.entries()) {
      if (found[at] === undefined && finder.seeded === (one.seed !== null)) found[at] = finder.find(pool, one);
    }
  }
  return found;
}

/** One text for a line's identity. */
export function identityText({ lineKey, occurrence, k }: LineIdentity): string {
  return `${lineKey} ${occurrence} ${k}`;
}

/** In this order, so that a near match never takes what another line matches better. */
const FINDERS: readonly { readonly seeded: boolean; find(pool: Pool, wanted: Wanted): JobRow | undefined }[] = [
  { seeded: true, find: (pool, wanted) => pool.exact(wanted) },
  { seeded: true, find: (pool, wanted) => pool.bySeed(wanted) },
  { seeded: false, find: (pool, wanted) => pool.exact(wanted) },
  { seeded: false, find: (pool, wanted) => pool.drawn(wanted) },
  { seeded: false, find: (pool, wanted) => pool.struckOut(wanted) },
];

/** The jobs that no line has been given yet. */
class Pool {
  readonly #free: Set<JobRow>;
  readonly #exact: ReadonlyMap<string, readonly JobRow[]>;
  readonly #bySeed: ReadonlyMap<string, readonly JobRow[]>;
  readonly #drawn: ReadonlyMap<string, readonly JobRow[]>;
  readonly #seeded: ReadonlyMap<string, readonly JobRow[]>;
  /** How many jobs with a drawn seed there are more than lines that want one, by line and k. */
  readonly #surplus = new Map<string, number>();
  /** Where the next search of a list begins: what lies before is given. */
  readonly #begin = new Map<readonly JobRow[], number>();

  constructor(rows: readonly JobRow[], wanted: readonly Wanted[]) {
    const ordered = [...rows].sort((one, other) => one.occurrence - other.occurrence || one.index - other.index);
    const drawn = ordered.filter((row) => !isSeeded(row.lineKey));
    this.#free = new Set(rows);
    this.#exact = Map.groupBy(ordered, identityText);
    this.#bySeed = Map.groupBy(ordered, (row) => seedText(row, row.seed));
    this.#drawn = Map.groupBy(drawn, placeText);
    this.#seeded = Map.groupBy(
      ordered.filter((row) => isSeeded(row.lineKey)),
      placeText,
    );
    for (const row of drawn) this.#count(placeText(row), 1);
    for (const one of wanted) if (one.seed === null) this.#count(placeText(one.identity), -1);
  }

  exact({ identity }: Wanted): JobRow | undefined {
    return this.#take(this.#exact.get(identityText(identity)));
  }

  /** A job with a drawn seed only where no line without a seed needs it. */
  bySeed({ identity, seed }: Wanted): JobRow | undefined {
    const row = this.#take(this.#bySeed.get(seedText(identity, seed)), (candidate) => {
      return isSeeded(candidate.lineKey) || (this.#surplus.get(placeText(candidate)) ?? 0) > 0;
    });
    if (row !== undefined && !isSeeded(row.lineKey)) this.#count(placeText(row), -1);
    return row;
  }

  drawn({ identity }: Wanted): JobRow | undefined {
    return this.#take(this.#drawn.get(placeText(identity)));
  }

  struckOut({ identity }: Wanted): JobRow | undefined {
    return this.#take(this.#seeded.get(placeText(identity)));
  }

  #count(place: string, by: number): void {
    this.#surplus.set(place, (this.#surplus.get(place) ?? 0) + by);
  }

  #take(rows: readonly JobRow[] | undefined, mayBe: (row: JobRow) => boolean = () => true): JobRow | undefined {
    if (rows === undefined) return undefined;
    let firstFree: number | undefined;
    for (let at = this.#begin.get(rows) ?? 0; at < rows.length; at += 1) {
      const row = rows[at];
      if (row === undefined || !this.#free.has(row)) continue;
      firstFree ??= at;
      if (!mayBe(row)) continue;
      this.#free.delete(row);
      this.#begin.set(rows, firstFree);
      return row;
    }
    this.#begin.set(rows, firstFree ?? rows.length);
    return undefined;
  }
}

/** The same line without its seed and its occurrence. */
function placeText({ lineKey, k }: Pick<LineIdentity, 'lineKey' | 'k'>): string {
  return `${baseKey(lineKey)} ${k}`;
}

function seedText({ lineKey }: Pick<LineIdentity, 'lineKey'>, seed: number | null): string {
  return `${baseKey(lineKey)} ${seed}`;
}
