import { isSuspect } from '../batch/marks.ts';
import { InputError } from '../errors.ts';
import type { JobRow, JobState, RunRow, Store } from '../ports.ts';
import type { App } from './app.ts';
import { WaitsToTell } from './cheap.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { makingOf } from './receipt-lines.ts';
import { requireRun } from './runs.ts';
import { columns } from './table.ts';

export interface JobsOptions {
  readonly json?: boolean;
  /** Name or id of a run; else the youngest one. */
  readonly run?: string;
  readonly state?: JobState;
  readonly limit?: number;
}

const SHOWN = 50;

/** @returns the exit code */
export async function jobsLs(app: App, { json, run: named, state, limit = SHOWN }: JobsOptions): Promise<number> {
  const store = await app.store();
  const run = named === undefined ? (await store.runs(1))[0] : await requireRun(store, named);
  const rows = run === undefined ? [] : await store.jobsOf(run.id);
  const wanted = rows.filter((row) => state === undefined || row.state === state);
  const shown = wanted.slice(0, limit);
  if (json === true) for (const row of shown) app.io.out(JSON.stringify(eventOf(row)));
  else if (run !== undefined) for (const line of tableOf(run, shown, new WaitsToTell(app))) app.io.out(line);
  if (json !== true && wanted.length > shown.length)
    app.io.err(`${counted(wanted.length - shown.length, 'more job')}; --limit ${wanted.length} shows them.`);
  return EXIT.done;
}

/** @returns the exit code */
export async function jobsShow(app: App, id: string, { json }: JobsOptions): Promise<number> {
  const store = await app.store();
  const row = await requireJob(store, id);
  if (json === true) {
    app.io.out(JSON.stringify({ ...eventOf(row), marks: row.marks, receipt: row.receipt }));
    return EXIT.done;
  }
  const { deaths, cutOffs, failures, blacks } = row.marks;
  const fields: (readonly [string, string])[] = [
    ['job', row.id],
    ['state', row.state],
    ['prompt', row.prompt],
    ['seed', String(row.seed)],
    ['priority', isSuspect(row.marks) ? `${row.priority}, alone and behind the others` : row.priority],
  ];
  if (row.state !== 'failed' && row.state !== 'cancelled') fields.push(['picture', row.path]);
  const zone = new WaitsToTell(app).zone(row);
  if (zone !== null) fields.push(['waits for', zone]);
  if (row.error !== null) fields.push(['error', `${row.error.code}: ${row.error.message}`]);
  if (deaths + cutOffs + failures + blacks > 0)
    fields.push(['befell it', `deaths ${deaths}, cut off ${cutOffs}, failures ${failures}, black ${blacks}`]);
  if (row.receipt !== null) fields.push(...makingOf(row.receipt));
  for (const line of columns(fields)) app.io.out(line);
  return EXIT.done;
}

/** @returns the exit code */
export async function jobsCancel(app: App, ids: readonly string[], { json }: JobsOptions): Promise<number> {
  const store = await app.store();
  const rows = await Promise.all(ids.map((id) => requireJob(store, id)));
  const changed = await store.cancel(rows.map((row) => row.id));
  return report(app, { json, changed, asked: rows, words: ids, what: 'cancelled', not: 'settled already' });
}

/** @returns the exit code */
export async function jobsRetry(app: App, ids: readonly string[], { json }: JobsOptions): Promise<number> {
  const store = await app.store();
  const rows = await Promise.all(ids.map((id) => requireJob(store, id)));
  const changed = await store.retry(rows.map((row) => row.id));
  const code = report(app, {
    json,
    changed,
    asked: rows,
    words: ids,
    what: 'to be made again',
    not: 'neither failed nor cancelled',
  });
  if (json !== true && changed.length > 0) app.io.err('`kilnwatt serve` makes them, and a `run` of the same run too.');
  return code;
}

interface Changed {
  readonly json: boolean | undefined;
  readonly changed: readonly string[];
  readonly asked: readonly JobRow[];
  /** How the user named each of them. */
  readonly words: readonly string[];
  readonly what: string;
  readonly not: string;
}

function report(app: App, { json, changed, asked, words, what, not }: Changed): number {
  const named = asked.map((row, at) => ({ ...row, word: words[at] ?? row.id }));
  const left = named.filter((row) => !changed.includes(row.id));
  if (json === true) app.io.out(JSON.stringify({ changed, unchanged: left.map((row) => row.id) }));
  else {
    app.io.out(`${counted(changed.length, 'job')} ${what}`);
    for (const row of left) app.io.err(`${row.word} is ${row.state}: ${not}`);
  }
  return EXIT.done;
}

/** By its id, or as `run name/index`. */
async function requireJob(store: Store, word: string): Promise<JobRow> {
  const slash = word.lastIndexOf('/');
  const index = Number(word.slice(slash + 1));
  const run = slash > 0 && Number.isInteger(index) ? await runOf(store, word.slice(0, slash)) : undefined;
  const row = await store.job(run === undefined ? word : `${run.id}-${String(index).padStart(6, '0')}`);
  if (row !== undefined) return row;
  const mend = 'name it by its id, or as RUN/INDEX; `kilnwatt jobs ls` lists them';
  throw new InputError(`there is no such job; ${mend}`, { code: 'job_missing', place: word });
}

async function runOf(store: Store, word: string): Promise<RunRow | undefined> {
  return (await store.runByName(word)) ?? (await store.run(word));
}

function eventOf(row: JobRow) {
  const { id, runId, index, state, prompt, seed, path, priority, when = null, error } = row;
  return { id, run: runId, index, state, prompt, seed, path, priority, when, error };
}

function tableOf(run: RunRow, rows: readonly JobRow[], waits: WaitsToTell): readonly string[] {
  const why = (row: JobRow): string => row.error?.code ?? waits.short(row) ?? '';
  return columns(rows.map((row) => [`${run.name}/${row.index}`, row.state, why(row), clip(row.prompt)] as const));
}

function clip(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}
