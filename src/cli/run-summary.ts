import { type CostFigures, costSummaryOf } from '../cost/summary.ts';
import { totalsOf } from '../cost/totals.ts';
import type { Store } from '../ports.ts';
import type { PlannedRun } from '../submission.ts';
import type { Seconds } from '../units.ts';
import type { Part, RunSummary } from './run-events.ts';

export interface SummaryParts {
  readonly store: Store;
  readonly planned: PlannedRun;
  /** Pictures and failures that this command has seen. */
  readonly made: number;
  readonly failed: number;
  /** The store's sequence when this command began; what was booked after it is on its bill. */
  readonly since: number | null;
  readonly seconds: Seconds;
  /** Of them those in which it waited for cheap electricity. */
  readonly waited: Seconds;
  /** Names amounts where nothing was priced. */
  readonly currency: string;
  readonly contactSheet: string | null;
}

/** The bill of one command, summed by the store. */
export async function summaryOf(parts: SummaryParts): Promise<RunSummary> {
  const { run, plan, total } = parts.planned;
  const failed = parts.failed + plan.failed.length;
  const counts = { jobs: total, images: parts.made, cached: plan.done.length, failed };
  const totals = parts.since === null ? NOTHING : await parts.store.totals(run.id, parts.since);
  const bill = costSummaryOf(totals, parts.currency);
  const { batches, images } = totals;
  const worked = parts.seconds - parts.waited;
  return {
    event: 'summary',
    run: run.id,
    name: run.name,
    ...counts,
    left: total - parts.made - plan.done.length - failed,
    seconds: rounded(parts.seconds),
    waited_seconds: rounded(parts.waited),
    images_per_hour: worked > 0 ? rounded((parts.made / worked) * 3600) : 0,
    batches,
    mean_batch: batches > 0 ? rounded(images / batches) : 0,
    ...bill.total,
    parts: {
      pictures: partOf(totals.active.seconds, bill.pictures),
      overhead: partOf(totals.overhead.seconds, bill.overhead),
    },
    per_thousand: bill.perThousand === null ? null : partOf((totals.active.seconds * 1000) / images, bill.perThousand),
    out_dir: parts.planned.folder,
    contact_sheet: parts.contactSheet,
  };
}

/** The bill of a command that submitted nothing. */
const NOTHING = totalsOf([], 0);

function partOf(seconds: Seconds, { energy, cost }: CostFigures): Part {
  return { seconds: rounded(seconds), energy, cost };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
