import { dirname } from 'node:path';
import { InputError } from '../errors.ts';
import { submitForServer } from '../pipeline.ts';
import type { Job } from '../ports.ts';
import { presetsWith } from '../preset/catalogue.ts';
import { type Ask, type DoorParts, type PlannedRun, planSubmission } from '../submission.ts';
import type { App } from './app.ts';

/** What a submission needs of an app. */
export type DoorApp = Pick<
  App,
  'loaded' | 'clock' | 'models' | 'images' | 'isAlive' | 'randomSeed' | 'store' | 'requireRoom'
>;

/**
 * The plan, once it is in the store for whoever serves.
 * @param launch what claims the run
 * @throws as {@link submittedBy} does
 */
export async function submitted(app: DoorApp, ask: Ask, launch: string): Promise<PlannedRun> {
  const parts = await doorParts(app, launch);
  return submittedBy(app, ask, {
    plan: () => planSubmission(parts, ask),
    write: (planned) => submitForServer(parts, planned),
  });
}

export interface Submitting {
  plan(): Promise<PlannedRun>;
  /** @throws InputError `run_busy` where somebody was faster */
  write(planned: PlannedRun): Promise<void>;
}

/**
 * The plan, once it is written. Where nobody named the run, another process that took the name or the interrupted run
 * first is no reason to fail: the next plan finds that out and takes something else.
 * @throws StorageError `disk_full`, `not_writable` where a disk that it needs has no room; nothing is written then
 */
export async function submittedBy(
  app: Pick<DoorApp, 'images' | 'requireRoom'>,
  ask: Pick<Ask, 'name'>,
  { plan, write }: Submitting,
): Promise<PlannedRun> {
  for (let attempt = 1; ; attempt += 1) {
    const planned = await plan();
    if (planned.jobs.length === 0) return planned;
    await requireRoom(app, planned.jobs);
    try {
      await write(planned);
      // What is in the store need not stay in memory too.
      return { ...planned, add: [], requeue: [] };
    } catch (error) {
      const taken = error instanceof InputError && error.code === 'run_busy' && ask.name === null;
      if (!taken || attempt >= PLANS) throw error;
    }
  }
}

export async function doorParts(app: DoorApp, launch: string): Promise<DoorParts> {
  const { clock, models, images, isAlive, randomSeed } = app;
  const presets = presetsWith(app.loaded.config.presets);
  return { clock, models, images, isAlive, randomSeed, launch, presets, store: await app.store() };
}

/** Each but the last is lost to a process that was faster. */
const PLANS = 20;

/** The disks of queue, database and every folder of pictures. */
async function requireRoom(app: Pick<DoorApp, 'images' | 'requireRoom'>, jobs: readonly Job[]): Promise<void> {
  await app.requireRoom();
  const inFolders = new Map(jobs.map(({ target }) => [dirname(target), target]));
  for (const target of inFolders.values()) await app.images.requireRoom(target);
}
