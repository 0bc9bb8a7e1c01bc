import { InputError } from '../errors.ts';
import type { JobState, RunRow, Store } from '../ports.ts';
import { openIn } from '../submission.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { counted, whole } from './figures.ts';
import { tellStandstill, tellUnserved, waitsFor } from './standstill.ts';
import { columns } from './table.ts';

export interface RunsOptions {
  readonly json?: boolean;
  readonly limit?: number;
}

const SHOWN = 20;
const LEFT: readonly JobState[] = ['submitting', 'queued', 'running', 'interrupted'];

/** @returns the exit code */
export async function runsLs(app: App, { json, limit = SHOWN }: RunsOptions): Promise<number> {
  const found = await (await app.store()).runs(limit + 1);
  const runs = found.slice(0, limit);
  if (json === true) {
    for (const run of runs) app.io.out(JSON.stringify(eventOf(run)));
    return EXIT.done;
  }
  for (const line of columns(runs.map((run) => [run.name, dateOf(run), ...countsOf(run)]))) app.io.out(line);
  if (found.length === 0) app.io.err(`There are no runs in ${app.loaded.config.dataDir}.`);
  if (found.length > limit) app.io.err(`There are more; --limit ${limit * 5} shows more of them.`);
  if (runs.some(({ counts }) => openIn(counts) > 0)) await tellStandstill(app);
  return EXIT.done;
}

/** @returns the exit code */
export async function runsShow(app: App, name: string, { json }: RunsOptions): Promise<number> {
  const run = await requireRun(await app.store(), name);
  if (json === true) {
    app.io.out(JSON.stringify(eventOf(run)));
    return EXIT.done;
  }
  const fields: (readonly string[])[] = [
    ['run', `${run.name} (${run.id})`],
    ['submitted', dateOf(run)],
    ['jobs', countsOf(run).join(', ')],
    ['pictures', run.outDir],
  ];
  const waits = await waitsFor(app, run);
  if (waits !== null) fields.push(['waits for', waits]);
  if (run.held !== null) fields.push(['held', `${run.held}; \`kilnwatt runs resume ${run.name}\` goes on`]);
  for (const line of columns(fields)) app.io.out(line);
  return EXIT.done;
}

/** @returns the exit code */
export async function runsCancel(app: App, name: string, { json }: RunsOptions): Promise<number> {
  const store = await app.store();
  const run = await requireRun(store, name);
  const changed = await store.cancel((await store.jobsOf(run.id)).map((row) => row.id));
  if (json === true) app.io.out(JSON.stringify({ run: run.id, changed: changed.length }));
  else app.io.out(`${counted(changed.length, 'job')} of ${run.name} cancelled; what was made stays.`);
  return EXIT.done;
}

/** @returns the exit code */
export async function runsRetry(app: App, name: string, { json }: RunsOptions): Promise<number> {
  const store = await app.store();
  const run = await requireRun(store, name);
  const failed = (await store.jobsOf(run.id)).filter((row) => row.state === 'failed');
  const changed = await store.retry(failed.map((row) => row.id));
  if (json === true) app.io.out(JSON.stringify({ run: run.id, changed: changed.length }));
  else app.io.out(`${counted(changed.length, 'failed job')} of ${run.name} to be made again.`);
  return EXIT.done;
}

/** @returns the exit code */
export async function runsResume(app: App, name: string, { json }: RunsOptions): Promise<number> {
  const store = await app.store();
  const run = await requireRun(store, name);
  if (!run.served && app.isAlive(run.launch) && run.held === null)
    throw new InputError(`the run ${run.name} is being made by another process`, { code: 'run_busy' });
  const changed = await store.resume(run.id);
  if (json === true) {
    app.io.out(JSON.stringify({ run: run.id, changed: changed.length }));
    return EXIT.done;
  }
  if (changed.length === 0) {
    app.io.out(`Nothing of ${run.name} is interrupted or held.`);
    return EXIT.done;
  }
  app.io.out(`${run.name} goes on: ${counted(changed.length, 'job')} submitted again.`);
  await tellUnserved(app);
  return EXIT.done;
}

/** By its name or its id. */
export async function requireRun(store: Store, word: string): Promise<RunRow> {
  const run = (await store.runByName(word)) ?? (await store.run(word));
  if (run !== undefined) return run;
  throw new InputError('there is no such run; `kilnwatt runs ls` lists them', { code: 'run_missing', place: word });
}

function eventOf(run: RunRow) {
  const { id, name, createdAt, outDir, served, held, tags, counts } = run;
  return { run: id, name, created_at: new Date(createdAt).toISOString(), out_dir: outDir, served, held, tags, counts };
}

function dateOf({ createdAt }: RunRow): string {
  const date = new Date(createdAt);
  return `${date.toLocaleDateString('sv-SE')} ${date.toTimeString().slice(0, 5)}`;
}

/** What is done of all, and what else there is. */
function countsOf({ counts, held }: RunRow): readonly string[] {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const left = LEFT.reduce((sum, state) => sum + counts[state], 0);
  return [
    `${whole(counts.done)}/${whole(all)} done`,
    ...(counts.running > 0 ? [`${whole(counts.running)} running`] : []),
    ...(left > counts.running
      ? [`${whole(left - counts.running)} ${counts.interrupted > 0 ? 'left' : 'waiting'}`]
      : []),
    ...(counts.failed > 0 ? [`${whole(counts.failed)} failed`] : []),
    ...(counts.cancelled > 0 ? [`${whole(counts.cancelled)} cancelled`] : []),
    ...(held === null ? [] : ['held']),
  ];
}
