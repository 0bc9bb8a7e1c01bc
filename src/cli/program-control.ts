import { release } from 'node:os';
import { type Command, Option } from 'commander';
import type { App, Interrupts } from './app.ts';
import { EXIT } from './exit.ts';
import { installService } from './install.ts';
import { type JobsOptions, jobsCancel, jobsLs, jobsRetry, jobsShow } from './jobs.ts';
import { type LimitsOptions, limitsForget, limitsLs } from './limits.ts';
import { type PauseOptions, pause, resume } from './pause.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';
import { countOf } from './program-run.ts';
import { type RunsOptions, runsCancel, runsLs, runsResume, runsRetry, runsShow } from './runs.ts';
import { serve } from './serve.ts';

export interface ControlOptions {
  readonly interrupts: Interrupts;
  withApp(flags: PlaceFlags, use: (app: App) => Promise<number>): Promise<void>;
}

const STATES = ['submitting', 'queued', 'running', 'done', 'failed', 'cancelled', 'interrupted'];

/** The commands of whoever leaves kilnwatt running, and looks after it now and then. */
export function addControl(program: Command, { withApp, interrupts }: ControlOptions): void {
  const serving = program
    .command('serve')
    .summary('make the pictures of every run, and of what is submitted, until stopped')
    .option('--devices <list>', 'auto, cpu, cpu:2, or cards: 0,1')
    .addOption(
      new Option('--when <when>', 'when bulk jobs are made whose run does not say it').choices(['now', 'cheap']),
    )
    .option('--install', 'write a systemd user unit that serves with these settings, say how to start it, and end');
  addPlaces(serving).action((flags: PlaceFlags & { readonly install?: boolean }) =>
    withApp(flags, (app) =>
      flags.install === true ? installUnit(app) : serve(app, { interrupts, json: flags.json === true }),
    ),
  );
  addJobs(program, withApp);
  addRuns(program, withApp);
  addLimits(program, withApp);
  const pausing = program
    .command('pause')
    .summary('free the cards: nothing is begun until `resume`, or for a while')
    .option('--now', 'give the running batch up, which is made again later, instead of finishing it')
    .option('--for <span>', 'how long: 2h, 90m')
    .option('--until <time>', 'until the clock shows 07:00');
  addPlaces(pausing).action((flags: PlaceFlags & PauseOptions) => withApp(flags, (app) => pause(app, flags)));
  addPlaces(program.command('resume').summary('go on after `pause`')).action((flags: PlaceFlags) =>
    withApp(flags, (app) => resume(app, flags)),
  );
}

async function installUnit({ loaded, command, io }: App): Promise<number> {
  for (const sentence of await installService({ loaded, command, kernel: release() })) io.out(sentence);
  return EXIT.done;
}

function addJobs(program: Command, withApp: ControlOptions['withApp']): void {
  const jobs = program.command('jobs').summary('list, show, cancel and retry jobs');
  const ls = jobs
    .command('ls')
    .summary('jobs of a run')
    .option('--run <name>', 'name or id; not given: the youngest one')
    .addOption(new Option('--state <state>', 'only those').choices(STATES))
    .option('--limit <count>', 'at most so many', countOf('--limit'));
  addPlaces(ls).action((flags: PlaceFlags & JobsOptions) => withApp(flags, (app) => jobsLs(app, flags)));
  addPlaces(
    jobs.command('show').summary('one job, and what befell it').argument('<JOB>', 'its id, or RUN/INDEX'),
  ).action((id: string, flags: PlaceFlags) => withApp(flags, (app) => jobsShow(app, id, flags)));
  addPlaces(
    jobs.command('cancel').summary('not to be made; at the next step where they are being made').argument('<JOB...>'),
  ).action((ids: string[], flags: PlaceFlags) => withApp(flags, (app) => jobsCancel(app, ids, flags)));
  addPlaces(jobs.command('retry').summary('make failed and cancelled ones again').argument('<JOB...>')).action(
    (ids: string[], flags: PlaceFlags) => withApp(flags, (app) => jobsRetry(app, ids, flags)),
  );
}

function addRuns(program: Command, withApp: ControlOptions['withApp']): void {
  const runs = program.command('runs').summary('list, show, cancel, retry and resume runs');
  const ls = runs
    .command('ls')
    .summary('the youngest first')
    .option('--limit <count>', 'at most so many', countOf('--limit'));
  addPlaces(ls).action((flags: PlaceFlags & RunsOptions) => withApp(flags, (app) => runsLs(app, flags)));
  const one = (name: string, summary: string, action: typeof runsShow) =>
    addPlaces(runs.command(name).summary(summary).argument('<RUN>', 'its name or id')).action(
      (run: string, flags: PlaceFlags) => withApp(flags, (app) => action(app, run, flags)),
    );
  one('show', 'one run', runsShow);
  one('cancel', 'what is not made yet is not to be made', runsCancel);
  one('retry', 'what has failed is made again, by `kilnwatt serve`', runsRetry);
  one('resume', 'what was interrupted or held goes on, by `kilnwatt serve`', runsResume);
}

function addLimits(program: Command, withApp: ControlOptions['withApp']): void {
  const limits = program.command('limits').summary('show and forget what did not fit into the memory of a device');
  const one = (name: string, summary: string, action: typeof limitsLs) =>
    addPlaces(limits.command(name).summary(summary))
      .option('--device <device>', 'only those of this device, as `limits ls` names it')
      .action((flags: PlaceFlags & LimitsOptions) => withApp(flags, (app) => action(app, flags)));
  one('ls', 'which batches are not tried, and until when', limitsLs);
  one('forget', 'what did not fit is tried again', limitsForget);
}
