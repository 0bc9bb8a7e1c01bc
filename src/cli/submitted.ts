import { InputError } from '../errors.ts';
import { submitForServer } from '../pipeline.ts';
import { type Ask, type DoorParts, type PlannedRun, planSubmission } from '../submission.ts';
import type { App } from './app.ts';

/** What a submission needs of an app. */
export type DoorApp = Pick<App, 'clock' | 'models' | 'images' | 'isAlive' | 'randomSeed' | 'store'>;

/**
 * The plan, once it is in the store for whoever serves. As with `run`, a run that nobody named takes another name where
 * somebody was faster.
 * @param launch what claims the run
 */
export async function submitted(app: DoorApp, ask: Ask, launch: string): Promise<PlannedRun> {
  const parts = await doorParts(app, launch);
  for (let attempt = 1; ; attempt += 1) {
    const planned = await planSubmission(parts, ask);
    const [first] = planned.jobs;
    if (first === undefined) return planned;
    await app.images.requireRoom(first.target);
    try {
      await submitForServer(parts, planned);
      return planned;
    } catch (error) {
      const taken = error instanceof InputError && error.code === 'run_busy' && ask.name === null;
      if (!taken || attempt >= PLANS) throw error;
    }
  }
}

export async function doorParts(app: DoorApp, launch: string): Promise<DoorParts> {
  const { clock, models, images, isAlive, randomSeed } = app;
  return { clock, models, images, isAlive, randomSeed, launch, store: await app.store() };
}

const PLANS = 20;
