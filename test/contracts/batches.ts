import { join } from 'node:path';
import type { Request } from '../../src/job/request.ts';
import type { Batch, BatchResult } from '../../src/ports.ts';

/** Content hash of the model that batches are of, unless they are of another. */
export const MODEL = `sha256:${'1'.repeat(64)}`;
export const OTHER_MODEL = `sha256:${'2'.repeat(64)}`;

/** What differs from a batch of small pictures by the preset `auto`. */
export interface Change {
  readonly modelHash?: string;
  readonly modelPath?: string;
  readonly preset?: string;
  readonly steps?: number;
  readonly width?: number;
  readonly height?: number;
  readonly guidance?: number;
  readonly safe?: boolean;
  readonly loras?: Request['loras'];
  readonly loraPaths?: readonly string[];
}

export function newBatch(folder: string, id: string, prompts: readonly string[], change: Change): Batch {
  const {
    modelHash = MODEL,
    preset = 'auto',
    steps = 4,
    guidance = 7,
    safe = false,
    loras = [],
    loraPaths = [],
  } = change;
  const { modelPath = '/models/tiny', width = 64, height = 48 } = change;
  const request = (prompt: string, seed: number): Request => ({
    model: 'tiny',
    modelHash,
    prompt,
    negativePrompt: '',
    seed,
    width,
    height,
    steps,
    guidance,
    distilledGuidance: null,
    scheduler: 'euler',
    schedule: 'normal',
    loras,
    vae: null,
    clipSkip: 0,
    initImage: null,
    strength: null,
  });
  const jobs = prompts.map((prompt, at) => ({
    id: `run-${String(at).padStart(6, '0')}`,
    runId: 'run',
    request: request(prompt, 1_000 + at),
    modelPath,
    family: 'sd' as const,
    anatomy: null,
    loraPaths,
    loraBytes: 0,
    preset,
    target: join(folder, `${id}-${at}.png`),
    temporary: join(folder, `.${id}-${at}.part`),
    format: 'png' as const,
    sidecar: null,
    priority: 'bulk' as const,
  }));
  return { id, key: `${preset}:key`, device: 'cpu', safe, jobs };
}

export function codesOf({ answers }: Pick<BatchResult, 'answers'>): readonly string[] {
  return answers.map((answer) => (answer.kind === 'failure' ? answer.code : answer.kind));
}
