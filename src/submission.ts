import { dirname, extname, isAbsolute, resolve as resolvePath } from 'node:path';
import { v7 as uuidv7 } from 'uuid';
import { InputError } from './errors.ts';
import type { Draft } from './job/draft.ts';
import { checkRunName, runNameFor, targetFor } from './job/naming.ts';
import { contentKey, type Plan, planRun } from './job/plan.ts';
import { resolve, type Wanted } from './job/resolve.ts';
import { filesOf } from './job/resolve-loras.ts';
import type {
  Clock,
  ImageFormat,
  ImageStore,
  Job,
  JobRow,
  Lora,
  Model,
  ModelRegistry,
  NewJob,
  Priority,
  RunRow,
  Store,
  When,
} from './ports.ts';
import type { Preset } from './preset/catalogue.ts';
import { refuseImpossible } from './submission-preset.ts';

/** What a user asks for, as the front door understood it. */
export interface Ask {
  /** Of the run, if it is a new one; null: one is drawn. */
  readonly id: string | null;
  readonly drafts: readonly Draft[];
  /** Command-line values that stand behind what a line says itself. */
  readonly flags: Partial<Draft>;
  readonly defaultModel: string;
  readonly n: number;
  readonly order: 'breadth' | 'depth';
  /** The user's name for the run, or null for one that is made up from `hint`. */
  readonly name: string | null;
  /** File stem or prompt, for the name of an unnamed run. */
  readonly hint: string;
  /** Insists on a new run, even when an interrupted one has the same content. */
  readonly fresh: boolean;
  readonly retryFailed: boolean;
  readonly remakeMissing: boolean;
  /** Folder of the pictures; null keeps the run's own, or `defaultOut` for a new one. */
  readonly out: string | null;
  readonly defaultOut: string;
  readonly pattern: string;
  readonly format: ImageFormat;
  readonly sidecar: 'txt' | 'json' | null;
  readonly preset: string;
  readonly priority: Priority;
  /** When bulk jobs are made; null: as whoever makes them is configured. */
  readonly when: When | null;
  readonly tags: Readonly<Record<string, string>>;
}

/** A run before anything is written: what exists, what is to be made, what stays. */
export interface PlannedRun {
  readonly run: {
    readonly id: string;
    readonly name: string;
    readonly named: boolean;
    readonly contentKey: string;
    readonly outDir: string;
    readonly tags: Ask['tags'];
  };
  /** The row that this continues; null for a new run. */
  readonly existing: RunRow | null;
  readonly plan: Pick<Plan, 'done' | 'failed' | 'removed'>;
  /** Seeds were drawn for lines that give none. */
  readonly drawsSeeds: boolean;
  readonly add: readonly NewJob[];
  readonly requeue: readonly { readonly id: string; readonly job: Job; readonly remake: boolean }[];
  /** All that is to be made, first one first. */
  readonly jobs: readonly Job[];
  /** The store's sequence before the run was looked at; what changes after it is this submission's to follow. */
  readonly since: number;
  /** The folder that all pictures of the run are in. */
  readonly folder: string;
  /** Wanted jobs in all: to be made, done before, and failed before. */
  readonly total: number;
}

export interface DoorParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly models: ModelRegistry;
  readonly images: ImageStore;
  readonly launch: string;
  isAlive(launch: string): boolean;
  /** A whole number from 0 to 2⁵³−1. */
  randomSeed(): number;
  /** That can be asked for by name. */
  readonly presets: readonly Preset[];
}

/** Resolves every request and compares with what the run holds. Changes nothing. */
export async function planSubmission(
  parts: DoorParts,
  ask: Ask,
  { download = true }: { readonly download?: boolean } = {},
): Promise<PlannedRun> {
  const models = await resolveModels(parts.models, ask, download);
  const loras = await resolveLoras(parts.models, ask);
  const wanted = resolve(ask.drafts, {
    flags: ask.flags,
    models,
    loras,
    defaultModel: ask.defaultModel,
    n: ask.n,
    order: ask.order,
  });
  refuseImpossible(ask.preset, parts.presets, wanted, models);
  const key = contentKey(wanted);
  const since = await parts.store.sequence();
  const existing = await findRun(parts, ask, key);
  if (existing === null && ask.name === null && (ask.retryFailed || ask.remakeMissing)) {
    const what = 'finds no interrupted run of these lines; say which run with --name';
    throw new InputError(what, { code: 'bad_flag', place: ask.retryFailed ? '--retry-failed' : '--remake-missing' });
  }
  const rows = existing === null ? [] : await parts.store.jobsOf(existing.id);
  const missing = ask.remakeMissing ? await missingPictures(parts.images, rows) : new Set<string>();
  const { retryFailed, remakeMissing } = ask;
  const plan = planRun(rows, wanted, { retryFailed, remakeMissing, missing, randomSeed: parts.randomSeed });
  const run = {
    id: existing?.id ?? ask.id ?? uuidv7(),
    name: existing?.name ?? ask.name ?? (await freeName(parts, ask)),
    named: existing?.named ?? ask.name !== null,
    contentKey: key,
    outDir: resolvePath(ask.out ?? existing?.outDir ?? ask.defaultOut),
    tags: { ...existing?.tags, ...ask.tags },
  };
  const jobs = jobsOf(plan, run, rows, { models, loras }, ask, parts.clock);
  const paths = [...plan.done, ...plan.failed].map((row) => row.path);
  const folder = commonFolder([...paths, ...jobs.jobs.map((job) => job.target)]) ?? run.outDir;
  return {
    run,
    existing,
    // Without what the lines asked for, which is in the jobs too: ten thousand of them are in memory for as long as they wait.
    plan: { done: plan.done, failed: plan.failed, removed: plan.removed },
    drawsSeeds: plan.add.some(({ wanted: { seed } }) => seed === null),
    ...jobs,
    since,
    folder,
    total: jobs.jobs.length + plan.done.length + plan.failed.length,
  };
}

async function resolveModels(registry: ModelRegistry, ask: Ask, download: boolean): Promise<Map<string, Model>> {
  const models = new Map<string, Model>();
  for (const { model, place } of ask.drafts) {
    const name = model ?? ask.flags.model ?? ask.defaultModel;
    if (models.has(name)) continue;
    try {
      models.set(name, await registry.resolve(name, { download }));
    } catch (cause) {
      if (model === undefined || !(cause instanceof InputError)) throw cause;
      throw new InputError(cause.message, { code: cause.code, place, cause });
    }
  }
  return models;
}

async function resolveLoras(registry: ModelRegistry, ask: Ask): Promise<Map<string, Lora>> {
  const loras = new Map<string, Lora>();
  for (const draft of ask.drafts) {
    for (const { name } of draft.loras ?? ask.flags.loras ?? []) {
      if (loras.has(name)) continue;
      try {
        loras.set(name, await registry.resolveLora(name));
      } catch (cause) {
        if (!(cause instanceof InputError)) throw cause;
        const place = draft.loras === undefined ? '--lora' : draft.place;
        throw new InputError(cause.message, { code: cause.code, place, cause });
      }
    }
  }
  return loras;
}

async function findRun(parts: DoorParts, ask: Ask, key: string): Promise<RunRow | null> {
  if (ask.name !== null) {
    checkRunName(ask.name);
    const run = await parts.store.runByName(ask.name);
    if (run !== undefined && run.launch !== parts.launch && parts.isAlive(run.launch)) {
      throw new InputError(
        `the run ${run.name} is being made by another process; wait for it or choose another --name`,
        { code: 'run_busy' },
      );
    }
    return run ?? null;
  }
  if (ask.fresh) return null;
  const run = await parts.store.interruptedRun(key);
  if (run === undefined || parts.isAlive(run.launch)) return null;
  // What was submitted is made by whoever serves, though nobody waits for it here: it is not interrupted.
  return run.served && openIn(run.counts) > 0 ? null : run;
}

/** How many jobs are made or wait to be made. */
export function openIn({ submitting, queued, running }: RunRow['counts']): number {
  return submitting + queued + running;
}

async function freeName(parts: DoorParts, ask: Ask): Promise<string> {
  const name = runNameFor(new Date(parts.clock.now()), ask.hint);
  for (let at = 1; ; at += 1) {
    const candidate = at === 1 ? name : `${name}-${at}`;
    if ((await parts.store.runByName(candidate)) === undefined) return candidate;
  }
}

async function missingPictures(images: ImageStore, rows: readonly JobRow[]): Promise<Set<string>> {
  const missing = new Set<string>();
  for (const row of rows) if (row.state === 'done' && !(await images.exists(row.path))) missing.add(row.id);
  return missing;
}

function jobsOf(
  plan: Plan,
  run: PlannedRun['run'],
  rows: readonly JobRow[],
  known: Known,
  ask: Ask,
  clock: Clock,
): Pick<PlannedRun, 'add' | 'requeue' | 'jobs'> {
  const taken = new Set(rows.map((row) => row.path));
  const date = new Date(clock.now());
  const jobFor = (id: string, wanted: Wanted, seed: number, target: string, format: ImageFormat): Job => ({
    id,
    runId: run.id,
    request: { ...wanted.request, seed },
    ...travelsWith(known, wanted),
    preset: ask.preset,
    target,
    format,
    sidecar: ask.sidecar,
    priority: ask.priority,
    ...(ask.when === null ? {} : { when: ask.when }),
  });
  const add = plan.add.map(({ index, wanted, seed }): NewJob => {
    const id = `${run.id}-${String(index).padStart(6, '0')}`;
    const fields = { run: run.name, index, seed, id, date, wanted };
    const target = targetFor({ pattern: ask.pattern, format: ask.format, out: run.outDir, taken }, fields);
    taken.add(target);
    return { ...wanted.identity, index, job: jobFor(id, wanted, seed, target, ask.format) };
  });
  const requeue = plan.requeue.map(({ row, wanted, seed }) => ({
    id: row.id,
    job: jobFor(row.id, wanted, seed, row.path, formatOf(row.path)),
    remake: row.state === 'done',
  }));
  const byIndex = new Map([...requeue, ...add].map(({ job }) => [indexOf(job.id), job]));
  return { add, requeue, jobs: plan.order.flatMap((index) => byIndex.get(index) ?? []) };
}

/** The deepest folder that holds all of these files. */
function commonFolder(files: readonly string[]): string | undefined {
  const [first, ...folders] = new Set(files.map((file) => dirname(file)));
  return folders.reduce((common, folder) => {
    let shared = common;
    while (shared !== undefined && folder !== shared && !folder.startsWith(shared === '/' ? shared : `${shared}/`)) {
      shared = dirname(shared);
    }
    return shared;
  }, first);
}

/** A picture that is made again keeps its name, and so its format. */
function formatOf(path: string): ImageFormat {
  const extension = extname(path).toLowerCase();
  if (extension === '.webp') return 'webp';
  return extension === '.png' ? 'png' : 'jpeg';
}

function indexOf(jobId: string): number {
  return Number(jobId.slice(jobId.lastIndexOf('-') + 1));
}

/** What the run's lines name, by the name in the line. */
interface Known {
  readonly models: ReadonlyMap<string, Model>;
  readonly loras: ReadonlyMap<string, Lora>;
}

function travelsWith(
  { models, loras }: Known,
  wanted: Wanted,
): Pick<Job, 'modelPath' | 'family' | 'anatomy' | 'loraPaths' | 'loraBytes'> {
  const model = [...models.values()].find((candidate) => candidate.hash === wanted.request.modelHash);
  if (model === undefined || !isAbsolute(model.path))
    throw new InputError(`the model ${wanted.request.model} has no folder`, { code: 'model_missing' });
  return { modelPath: model.path, family: model.family, anatomy: model.anatomy, ...filesOf(wanted.request, loras) };
}
