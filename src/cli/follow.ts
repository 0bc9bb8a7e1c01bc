import type { Clock, JobRow, JobState, Store } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { onceItCan } from './patience.ts';

const POLL_MS: Millis = 150;
const SETTLED: readonly JobState[] = ['done', 'failed', 'cancelled', 'interrupted'];

export interface FollowOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly runId: string;
  /** Changes up to here are known. */
  readonly since: number;
  /** Jobs that this follower waits for; each leaves the set when it is settled. */
  readonly waitingFor: Set<string>;
  /** Called between two looks with the number of changes that the last one found; false ends the following. */
  goOn(found: number): Promise<boolean>;
}

/**
 * Every change of a run's jobs as the store knows it, whichever process makes the pictures, until all
 * that were waited for are settled.
 */
export async function* follow(options: FollowOptions): AsyncGenerator<JobRow> {
  let seen = options.since;
  while (options.waitingFor.size > 0) {
    let rows: readonly JobRow[] = [];
    await onceItCan(async () => {
      rows = await options.store.changedSince(options.runId, seen);
    });
    for (const row of rows) {
      seen = Math.max(seen, row.seq);
      if (!options.waitingFor.has(row.id)) continue;
      if (SETTLED.includes(row.state)) options.waitingFor.delete(row.id);
      yield row;
    }
    if (!(await options.goOn(rows.length))) return;
    if (rows.length === 0 && options.waitingFor.size > 0) await pause(options.clock, POLL_MS);
  }
}
