import { InputError } from '../errors.ts';
import { submitForServer } from '../pipeline.ts';
import { type Ask, type PlannedRun, planSubmission } from '../submission.ts';
import type { App } from './app.ts';
import { type AskOptions, askOf } from './ask.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { requireRoom, startedOf } from './run-plan.ts';

export interface SubmitOptions extends AskOptions {
  readonly json?: boolean;
}

/**
 * Hands a run to whoever serves this data folder, now or later. When it returns, the run is on the disk.
 * @returns the exit code
 */
export async function submit(app: App, [word = '']: readonly string[], options: SubmitOptions): Promise<number> {
  const ask = await askOf(app, word, options);
  const planned = await submitted(app, ask);
  const event = startedOf(planned);
  if (options.json === true) {
    app.io.out(JSON.stringify(event));
    return EXIT.done;
  }
  const made = event.cached > 0 ? `, ${counted(event.cached, 'picture')} done before` : '';
  app.io.out(`Submitted ${event.name}: ${counted(event.to_make, 'picture')} to make${made}`);
  const owner = await (await app.store()).owner();
  if (!(owner?.serves === true && app.isAlive(owner.launch)))
    app.io.err('Nothing serves this data folder now; `kilnwatt serve` makes them.');
  return EXIT.done;
}

/** As `run` does, a run that nobody named takes another name where somebody was faster. */
async function submitted(app: App, ask: Ask): Promise<PlannedRun> {
  const { clock, models, images, launch, isAlive, randomSeed } = app;
  const store = await app.store();
  for (let attempt = 1; ; attempt += 1) {
    const planned = await planSubmission({ clock, models, images, launch, isAlive, randomSeed, store }, ask);
    if (planned.jobs.length === 0) return planned;
    await requireRoom(app, planned.jobs);
    try {
      await submitForServer({ store, launch }, planned);
      return planned;
    } catch (error) {
      const taken = error instanceof InputError && error.code === 'run_busy' && ask.name === null;
      if (!taken || attempt >= PLANS) throw error;
    }
  }
}

const PLANS = 20;
