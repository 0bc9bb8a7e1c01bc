import { type Again, type Excuses, madeAgain, NO_EXCUSES } from './again.ts';
import type { Evidence } from './evidence.ts';

export interface AccountAsk {
  /** Ids of all jobs that were acknowledged. */
  readonly acknowledged: ReadonlySet<string>;
  /** Ids of the jobs that must fail; all others must not. */
  readonly poison: ReadonlySet<string>;
  /** Ids of the jobs that somebody asked to be cancelled, and of those that the program said are. */
  readonly askedToCancel?: ReadonlySet<string>;
  readonly saidToBeCancelled?: ReadonlySet<string>;
  readonly evidence: Evidence;
  /** By job, the batches that it was seen in while the work went on, whether or not they left an entry. */
  readonly begun: ReadonlyMap<string, ReadonlySet<string>>;
  /** Ends of a worker or of the orchestrator that nobody had asked for. */
  readonly deaths: number;
  /** What is made again without any death; nothing where it is left out. */
  readonly excuses?: Excuses;
}

/** acknowledged = completed + failed_with_reason + cancelled + missing. */
export interface Account {
  readonly acknowledged: number;
  /** Done in the store, with an active entry and a whole picture that names the job. */
  readonly completed: number;
  readonly failed_with_reason: number;
  /** As somebody asked. One that was made before, or with the batch that was under way, is completed instead. */
  readonly cancelled: number;
  readonly missing: number;
  /** With two active entries or two pictures. */
  readonly doubled: number;
  /** Pictures under a final name that do not decode, or do not say of which job they are. */
  readonly torn: number;
  /** What deaths interrupted, as {@link Again} says: not more than deaths times largest batch. */
  readonly recomputed: number;
  readonly retried_for_memory: number;
  readonly given_up: number;
  readonly remade_black: number;
  readonly deaths: number;
  /** Of those that did not run out of memory for their size. */
  readonly largest_batch: number;
  /** Failed although nothing was wrong with them. */
  readonly failed_neighbours: number;
  /** Planted to fail, and did not. */
  readonly poison_completed: number;
  /** Jobs and pictures that nobody was told of. */
  readonly unacknowledged: number;
  /** Said to be cancelled, and neither that nor completed. */
  readonly not_as_cancelled: number;
  /** Done without an active entry, or with one and not done; a picture without one. */
  readonly unbooked: number;
  readonly leftovers: number;
  /** A sentence for each thing that must not be, with the first few of its kind. */
  readonly faults: readonly string[];
}

export function accountOf(ask: AccountAsk): Account {
  const { acknowledged, poison, evidence, deaths } = ask;
  const facts = new Facts(evidence);
  const ids = [...acknowledged];
  const completed = ids.filter((id) => facts.isCompleted(id));
  const failed = ids.filter((id) => facts.isFailed(id));
  const asked = ask.askedToCancel ?? NOBODY;
  const cancelled = ids.filter((id) => asked.has(id) && facts.isCancelled(id));
  const settled = new Set([...completed, ...failed, ...cancelled]);
  const kept = new Set([...completed, ...cancelled]);
  const counted = {
    missing: ids.filter((id) => !settled.has(id)),
    doubled: facts.ids.filter((id) => facts.isDoubled(id)),
    torn: evidence.pictures.filter(({ job, fault }) => fault !== null || job === null).map(({ path }) => path),
    failed_neighbours: failed.filter((id) => !poison.has(id)),
    poison_completed: completed.filter((id) => poison.has(id)),
    unacknowledged: facts.ids.filter((id) => !acknowledged.has(id)),
    not_as_cancelled: [...(ask.saidToBeCancelled ?? NOBODY)].filter((id) => !kept.has(id)),
    unbooked: facts.ids.filter((id) => facts.isUnbooked(id)),
    leftovers: evidence.leftovers,
  };
  const again: Again = madeAgain(evidence.entries, ask.begun, ask.excuses ?? NO_EXCUSES);
  const bound = deaths * again.largest_batch;
  const faults = Object.entries(counted).flatMap(([name, found]) =>
    found.length === 0 ? [] : [`${name}: ${found.slice(0, SHOWN).join(', ')}${found.length > SHOWN ? ' …' : ''}`],
  );
  if (again.recomputed > bound)
    faults.push(`recomputed: ${again.recomputed}, and ${deaths} deaths explain ${bound} at most`);
  return {
    acknowledged: ids.length,
    completed: completed.length,
    failed_with_reason: failed.length,
    cancelled: cancelled.length,
    missing: counted.missing.length,
    doubled: counted.doubled.length,
    torn: counted.torn.length,
    ...again,
    deaths,
    failed_neighbours: counted.failed_neighbours.length,
    poison_completed: counted.poison_completed.length,
    unacknowledged: counted.unacknowledged.length,
    not_as_cancelled: counted.not_as_cancelled.length,
    unbooked: counted.unbooked.length,
    leftovers: counted.leftovers.length,
    faults,
  };
}

const SHOWN = 5;
const NOBODY: ReadonlySet<string> = new Set();

/** The evidence by job. */
class Facts {
  readonly ids: readonly string[];
  readonly #jobs: ReadonlyMap<string, Evidence['jobs'][number]>;
  readonly #active: ReadonlyMap<string, readonly unknown[]>;
  readonly #pictures: ReadonlyMap<string, readonly Evidence['pictures'][number][]>;

  constructor({ jobs, entries, pictures }: Evidence) {
    this.#jobs = new Map(jobs.map((job) => [job.id, job]));
    this.#active = Map.groupBy(
      entries.filter((entry) => entry.active),
      (entry) => entry.job,
    );
    this.#pictures = Map.groupBy(
      pictures.filter((picture) => picture.job !== null),
      (picture) => picture.job ?? '',
    );
    this.ids = [...new Set([...this.#jobs.keys(), ...this.#active.keys(), ...this.#pictures.keys()])];
  }

  isCompleted(id: string): boolean {
    const job = this.#jobs.get(id);
    const picture = this.#pictures.get(id)?.find(({ path }) => path === job?.path);
    return job?.state === 'done' && picture?.fault === null && this.#active.has(id);
  }

  isFailed(id: string): boolean {
    const job = this.#jobs.get(id);
    return job?.state === 'failed' && job.reason !== null;
  }

  isCancelled(id: string): boolean {
    return this.#jobs.get(id)?.state === 'cancelled';
  }

  isDoubled(id: string): boolean {
    return (this.#active.get(id)?.length ?? 0) > 1 || (this.#pictures.get(id)?.length ?? 0) > 1;
  }

  isUnbooked(id: string): boolean {
    const isBooked = this.#active.has(id);
    return (this.#jobs.get(id)?.state === 'done') !== isBooked || (this.#pictures.has(id) && !isBooked);
  }
}
