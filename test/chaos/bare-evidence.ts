import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Queue } from 'bullmq';
import { AT_ONCE } from './bare-queue.ts';
import { decoded, type Evidence, leftoversIn } from './evidence.ts';

type Starts = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * What BullMQ and the folder hold. There is no ledger of costs and there are no metadata: a completion stands for the
 * entry of a job, and the name of a picture for what it would say of itself.
 */
export async function gatherBare(
  queue: Queue,
  ids: ReadonlySet<string>,
  folder: string,
  starts: Starts,
): Promise<Evidence> {
  const found = await Promise.all([...ids].map((id) => queue.getJob(id)));
  const completed = new Set((await queue.getCompleted()).map((job) => String(job.id)));
  const pictures = await decoded(folder);
  return {
    jobs: found.flatMap((job) => {
      if (job === undefined) return [];
      const id = String(job.id);
      const state = completed.has(id) ? 'done' : job.failedReason ? 'failed' : 'open';
      return [{ id, state, path: join(folder, `${id}.png`), reason: job.failedReason || null }];
    }),
    entries: [...completed].map((job) => {
      return { job, batch: [...(starts.get(job) ?? [])].at(-1) ?? 'unknown', size: AT_ONCE, active: true };
    }),
    pictures: pictures.map(({ path, fault }) => {
      return { path, job: basename(path, '.png'), fault: fault === NO_METADATA ? null : fault };
    }),
    leftovers: leftoversIn(folder),
  };
}

const NO_METADATA = "it has no 'kilnwatt'";

/** By job, the starts of its handler. */
export function startsIn(tally: string): Starts {
  if (!existsSync(tally)) return new Map();
  const lines = readFileSync(tally, 'utf8').split('\n').filter(Boolean);
  const starts = lines.map((line) => JSON.parse(line) as { readonly job: string; readonly start: string });
  const byJob = Map.groupBy(starts, ({ job }) => job);
  return new Map([...byJob].map(([job, all]) => [job, new Set(all.map(({ start }) => start))]));
}
