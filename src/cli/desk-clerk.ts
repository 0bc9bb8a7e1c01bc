import { z } from 'zod';
import { AppError, ConfigError, HandedBack } from '../errors.ts';
import type { Attendance, Clerk, RunRow, Store } from '../ports.ts';
import { type Ask, planSubmission } from '../submission.ts';
import type { App } from './app.ts';
import { completed, readRemoteAsk } from './desk-ask.ts';
import type { RunStarted } from './run-events.ts';
import { startedOf } from './run-plan.ts';
import { type DoorApp, doorParts, submitted } from './submitted.ts';

/** Takes in what other hosts submit; null where the queue's server is our own, which none of them reaches. */
export async function attendDesk(app: App): Promise<Attendance | null> {
  return (await app.desk()?.attend(submissionClerk(app))) ?? null;
}

/**
 * Submits what was asked for elsewhere as if it had been asked for here. Each question is submitted once: the run that
 * it came to carries its id, as the run's own or as what claimed it last.
 */
export function submissionClerk(app: DoorApp & Pick<App, 'loaded' | 'fault'>): Clerk {
  return async ({ id, body }): Promise<RunStarted> => {
    // It becomes part of file names.
    if (!z.uuid().safeParse(id).success) throw new ConfigError('a submission has no UUID', { code: 'desk_unreadable' });
    const ask = completed(readRemoteAsk(body), id, app.loaded.config);
    try {
      const store = await app.store();
      const before = await submittedBefore(store, id);
      if (before !== undefined) return await startedBefore(app, ask, before);
      // Claimed in the name of a command that has ended, as `submit` on this host leaves it.
      const planned = await submitted(app, ask, id);
      app.fault('run_written');
      return startedOf(planned);
    } catch (error) {
      // Ctrl-C, for example while a model was being fetched: whoever serves next begins again.
      if (error instanceof AppError && error.code === 'interrupted') throw new HandedBack();
      throw error;
    }
  };
}

async function submittedBefore(store: Store, id: string): Promise<RunRow | undefined> {
  return (await store.run(id)) ?? (await store.openRuns()).find((run) => run.launch === id);
}

/** What it was answered with when it was submitted, but for what was made meanwhile. */
async function startedBefore(app: DoorApp, ask: Ask, run: RunRow): Promise<RunStarted> {
  const planned = await planSubmission(await doorParts(app, run.launch), { ...ask, name: run.name });
  return { ...startedOf(planned), resumed: run.id !== ask.id };
}
