import { createHash } from 'node:crypto';
import type { JobRow } from '../ports.ts';
import { identityText, matchRows } from './match.ts';
import type { Wanted } from './resolve.ts';

export interface PlanOptions {
  /** Failed jobs are tried again. */
  readonly retryFailed: boolean;
  /** Pictures in `missing` are made again. */
  readonly remakeMissing: boolean;
  /** Ids of done jobs whose picture is gone. */
  readonly missing: ReadonlySet<string>;
  /** A whole number from 0 to 2⁵³−1. */
  randomSeed(): number;
}

/** What has to be done, so that a run holds what is wanted. Lists are in the order of the wanted. */
export interface Plan {
  /** No other job of the run has the identity of one of these: it would have been matched. */
  readonly add: readonly { readonly index: number; readonly wanted: Wanted; readonly seed: number }[];
  /** Jobs that keep index, seed and file name and are made (again). */
  readonly requeue: readonly { readonly row: JobRow; readonly wanted: Wanted; readonly seed: number }[];
  readonly done: readonly JobRow[];
  /** Failed before, and not asked for again. */
  readonly failed: readonly JobRow[];
  /** Jobs of the run that no line asks for any more. */
  readonly removed: readonly JobRow[];
  /** Indexes of all that is to be made, first one first. */
  readonly order: readonly number[];
}

/** Compares what a run has with what is wanted. New jobs take the next free indexes. */
export function planRun(existing: readonly JobRow[], wanted: readonly Wanted[], options: PlanOptions): Plan {
  const matches = matchRows(existing, wanted);
  const add: Plan['add'][number][] = [];
  const requeue: Plan['requeue'][number][] = [];
  const stays: Record<'done' | 'failed', JobRow[]> = { done: [], failed: [] };
  const order: number[] = [];
  let index = existing.reduce((highest, row) => Math.max(highest, row.index), 0);
  for (const [at, one] of wanted.entries()) {
    const row = matches[at];
    const fate = row === undefined ? 'make' : fateOf(row, options);
    if (row === undefined) {
      index += 1;
      add.push({ index, wanted: one, seed: one.seed ?? options.randomSeed() });
    } else if (fate === 'make') requeue.push({ row, wanted: one, seed: row.seed });
    else stays[fate].push(row);
    if (fate === 'make') order.push(row?.index ?? index);
  }
  const matched = new Set(matches);
  return { add, requeue, ...stays, removed: existing.filter((row) => !matched.has(row)), order };
}

/** Hash of everything that a file asks for, in its order: what an unnamed run is resumed by. */
export function contentKey(wanted: readonly Wanted[]): string {
  const hash = createHash('sha256');
  for (const { identity } of wanted) hash.update(`${identityText(identity)}\n`);
  return `1:${hash.digest('hex')}`;
}

/** What becomes of a job that is wanted (still). All but done and failed was left over by an interruption. */
function fateOf(row: JobRow, options: PlanOptions): 'make' | 'done' | 'failed' {
  if (row.state === 'done') return options.remakeMissing && options.missing.has(row.id) ? 'make' : 'done';
  if (row.state === 'failed') return options.retryFailed ? 'make' : 'failed';
  return 'make';
}
