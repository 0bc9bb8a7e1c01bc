import { CLEAN } from '../../src/batch/marks.ts';
import { InputError } from '../../src/errors.ts';
import type { Draft } from '../../src/job/draft.ts';
import type { Request } from '../../src/job/request.ts';
import { type ResolveOptions, resolve, type Wanted } from '../../src/job/resolve.ts';
import type { JobRow, JobState, Lora, Model } from '../../src/ports.ts';
import { seeded } from '../support/rng.ts';

export const sd: Model = {
  name: 'tiny-sd',
  path: '/models/tiny-sd',
  hash: `sha256:${'5d'.repeat(32)}`,
  family: 'sd',
  nativeSize: { width: 512, height: 384 },
  sizeMultiple: 8,
  defaults: { steps: 20, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' },
  schedulers: ['dpmpp_2m', 'euler', 'euler_a', 'ddim'],
  clipLayers: 12,
  anatomy: null,
};

export const flux: Model = {
  ...sd,
  name: 'org/flux-dev',
  hash: `sha256:${'f1'.repeat(32)}`,
  family: 'flux',
  sizeMultiple: 16,
  defaults: { steps: 28, guidance: 1, distilledGuidance: 3.5, scheduler: 'flow_match_euler', schedule: 'normal' },
  schedulers: ['flow_match_euler'],
  clipLayers: null,
};

export const ink: Lora = {
  name: 'ink',
  path: '/loras/ink.safetensors',
  hash: `sha256:${'1a'.repeat(32)}`,
  bytes: 1000,
};
export const clay: Lora = {
  name: 'clay',
  path: '/loras/clay.safetensors',
  hash: `sha256:${'1b'.repeat(32)}`,
  bytes: 200,
};

export const request: Request = {
  model: 'tiny-sd',
  modelHash: sd.hash,
  prompt: 'a large red circle on a blue background',
  negativePrompt: '',
  seed: 1,
  width: 512,
  height: 512,
  steps: 20,
  guidance: 7,
  distilledGuidance: null,
  scheduler: 'dpmpp_2m',
  schedule: 'karras',
  loras: [],
  vae: null,
  clipSkip: 0,
  initImage: null,
  strength: null,
};

export const options: ResolveOptions = {
  flags: {},
  models: new Map([sd, flux].map((model) => [model.name, model])),
  defaultModel: sd.name,
  loras: new Map([
    ['ink', ink],
    ['ink.safetensors', ink],
    ['clay', clay],
  ]),
  n: 1,
  order: 'breadth',
};

/** Drafts of one prompt a line: a text, or a draft without its place. */
export function drafts(...lines: readonly (string | Omit<Draft, 'place'>)[]): Draft[] {
  return lines.map((line, at) => ({
    ...(typeof line === 'string' ? { prompt: line } : line),
    place: `prompts.txt:${at + 1}`,
  }));
}

export function wantedOf(
  lines: readonly (string | Omit<Draft, 'place'>)[],
  more: Partial<ResolveOptions> = {},
): Wanted[] {
  return resolve(drafts(...lines), { ...options, ...more });
}

/** The row that the store has of a wanted picture. */
export function rowOf(made: { index: number; wanted: Wanted; seed: number }, state: JobState = 'done'): JobRow {
  return {
    ...made.wanted.identity,
    id: `run-${String(made.index).padStart(6, '0')}`,
    runId: 'run',
    index: made.index,
    state,
    prompt: made.wanted.request.prompt,
    seed: made.seed,
    path: `/out/${made.index}-${made.seed}.png`,
    error: null,
    priority: 'bulk',
    marks: CLEAN,
    seq: made.index,
    receipt: null,
  };
}

/** What a call was refused with. */
export function refusal(call: () => unknown): { code: string; message: string } {
  try {
    call();
  } catch (error) {
    if (error instanceof InputError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error('nothing was refused');
}

/** Whole numbers from 0 to 2³²−1, the same ones for the same start. */
export function numbers(start: number): () => number {
  const next = seeded(start);
  return () => next() * 2 ** 32;
}

/** Milliseconds of computing that a call took, which other work on the machine does not change much. */
export function computing(call: () => void): number {
  const before = process.cpuUsage();
  call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
