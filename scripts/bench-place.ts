import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export const ROOT = resolve(import.meta.dirname, '..');
export const MODELS = join(ROOT, '.scratch/models');
export const PYTHON = join(ROOT, '.venv/bin/python');

/** A user's machine in a folder: a home, a data folder with one model, a working folder. */
export interface Place {
  readonly work: string;
  readonly data: string;
  readonly model: string;
}

/** Runs `use` with a folder for its places, which is gone afterwards. */
export async function withScratch(use: (scratch: string) => Promise<void>): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'kiln-bench-'));
  try {
    await use(scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}

/** @param model a folder of `make-test-models`, which becomes the default model there */
export function newPlace(scratch: string, name: string, model: string): Place {
  const place = { work: join(scratch, name, 'work'), data: join(scratch, name, 'data'), model };
  mkdirSync(place.work, { recursive: true });
  mkdirSync(join(place.data, 'models'), { recursive: true });
  symlinkSync(join(MODELS, model), join(place.data, 'models', model));
  return place;
}

type Variables = Readonly<Record<string, string>>;

/** Runs the command line as users do, to its end. */
export function kilnwatt(place: Place, words: readonly string[], env: Variables = {}): void {
  const stdio = ['ignore', 'ignore', 'inherit'] as const;
  execFileSync(join(ROOT, 'scripts/kilnwatt'), words, { ...surroundings(place, env), stdio: [...stdio] });
}

/** Starts it; its standard output is to be read. */
export function startKilnwatt(place: Place, words: readonly string[], env: Variables = {}): ChildProcess {
  return spawn(join(ROOT, 'scripts/kilnwatt'), words, {
    ...surroundings(place, env),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function surroundings({ work, data, model }: Place, env: Variables) {
  const home = join(data, '..');
  const own = {
    PATH: process.env.PATH,
    HOME: home,
    XDG_RUNTIME_DIR: home,
    KILNWATT_DATA_DIR: data,
    KILNWATT_MODEL: model,
  };
  return { cwd: work, env: { ...own, ...env } };
}

/** Calls back for every line of its output; resolves when it has ended. */
export function eachLine(child: ChildProcess, onLine: (line: string) => void): Promise<void> {
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  return new Promise((done) => child.once('close', () => done()));
}

/** What the ledger of a place says. */
export function rowsOf(place: Place, sql: string): readonly Record<string, unknown>[] {
  const database = new DatabaseSync(join(place.data, 'kilnwatt.sqlite'), { readOnly: true });
  try {
    return database.prepare(sql).all();
  } finally {
    database.close();
  }
}

/** The process and all below it, by program. */
export function family(pid: number): ReadonlyMap<string, number> {
  return new Map([pid, ...descendants(pid)].map((one) => [basename(readlinkSync(`/proc/${one}/exe`)), one]));
}

function descendants(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '))
    .filter((text) => text !== '')
    .map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** Resident memory of a process in MB: now, or at its peak. */
export function residentMegabytes(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1000;
}

/** A sentence for each figure that is not what was promised; one that could not be measured is none that holds. */
export function missedLimits(figures: Figures, { least, most }: { readonly least: Figures; readonly most: Figures }) {
  const sentence = (name: string, how: string, limit: number) =>
    `missed: ${name} is ${figures[name]}, and ${how} ${limit} was promised`;
  const of = (name: string) => figures[name] ?? Number.NaN;
  return [
    ...Object.entries(least).flatMap(([name, limit]) => (of(name) >= limit ? [] : [sentence(name, 'at least', limit)])),
    ...Object.entries(most).flatMap(([name, limit]) => (of(name) <= limit ? [] : [sentence(name, 'at most', limit)])),
  ];
}

type Figures = Readonly<Record<string, number>>;

export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
