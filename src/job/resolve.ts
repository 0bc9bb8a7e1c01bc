import { InputError } from '../errors.ts';
import type { LineIdentity, Lora, Model } from '../ports.ts';
import type { Draft } from './draft.ts';
import { lineKey, MAX_SEED, type Request } from './request.ts';
import { resolveLoras } from './resolve-loras.ts';
import { resolveSampler } from './resolve-sampler.ts';
import { Said } from './said.ts';
import { unspokenSyntax } from './syntax.ts';

export interface ResolveOptions {
  /** What the command line says; a line's own fields stand above it. */
  readonly flags: Partial<Draft>;
  /** Every model that a line, the flags or the default names, by that name. */
  readonly models: ReadonlyMap<string, Model>;
  readonly defaultModel: string;
  /** Every LoRA that a line or the flags name, by that name. */
  readonly loras: ReadonlyMap<string, Lora>;
  /** Pictures of a line that says no number itself. */
  readonly n: number;
  /** `breadth`: the first picture of every line comes first, because people stop nights early. */
  readonly order: 'breadth' | 'depth';
}

/** One picture that is asked for: everything but a seed that nobody gave. */
export interface Wanted {
  readonly request: Omit<Request, 'seed'>;
  /** The seed that the user gave, or null where one is to be drawn. */
  readonly seed: number | null;
  readonly identity: LineIdentity;
  /** Which the line asked for; `identity.k` counts them from 0. */
  readonly n: number;
  readonly name?: string;
  readonly place: string;
}

/**
 * Makes complete requests of what was said. After this nothing is a default and nothing is out of range.
 * A line with a seed s and n > 1 gets s, s+1, …
 *
 * @throws InputError with the place of the field that is wrong: the line, or the command line
 */
export function resolve(drafts: readonly Draft[], options: ResolveOptions): Wanted[] {
  const occurrences = new Map<string, number>();
  const lines = drafts.map((draft) => lineOf(new Said(draft, options.flags), options, occurrences));
  const total = lines.reduce((sum, line) => sum + line.n, 0);
  if (total > MAX_JOBS) {
    throw new InputError(`asks for ${total} pictures; a run holds at most ${MAX_JOBS}`, { code: 'too_many_jobs' });
  }
  if (options.order === 'depth')
    return lines.flatMap((line) => Array.from({ length: line.n }, (_, k) => line.wanted(k)));
  const most = lines.reduce((max, line) => Math.max(max, line.n), 0);
  return Array.from({ length: most }, (_, k) =>
    lines.filter((line) => k < line.n).map((line) => line.wanted(k)),
  ).flat();
}

/** The key of a line without its seed, of a {@link LineIdentity.lineKey} that may carry one. */
export function baseKey(key: string): string {
  return key.split(SEED_MARK, 1)[0] ?? key;
}

/** Whether the line of this key gave its seed itself. */
export function isSeeded(key: string): boolean {
  return key.includes(SEED_MARK);
}

/** Job ids have six digits for the index. */
const MAX_JOBS = 999_999;
/** A batch of prompts has to fit into one message to the worker. */
const MAX_PROMPT_CHARACTERS = 8_000;
const SIZE = { least: 16, most: 8_192 };
const MAX_STEPS = 1_000;
const MAX_GUIDANCE = 100;
/** Stands between the key of a line and the seed that the line gave: another seed is another picture. */
const SEED_MARK = '@';

interface Line {
  readonly n: number;
  wanted(k: number): Wanted;
}

function lineOf(said: Said, options: ResolveOptions, occurrences: Map<string, number>): Line {
  const request = requestOf(said, modelOf(said, options), options.loras);
  const n = said.number('n', 'the number of pictures', options.n, { least: 1, most: MAX_JOBS, whole: true });
  const first = seedOf(said, n);
  const key = lineKey(request);
  const group = first === null ? key : seededKey(key, first);
  const occurrence = occurrences.get(group) ?? 0;
  occurrences.set(group, occurrence + 1);
  const { name, place } = said.draft;
  const wanted = (k: number): Wanted => {
    const seed = first === null ? null : first + k;
    const identity = { lineKey: seed === null ? key : seededKey(key, seed), occurrence, k };
    return { request, seed, identity, n, place, ...(name === undefined ? {} : { name }) };
  };
  return { n, wanted };
}

function seededKey(key: string, seed: number): string {
  return `${key}${SEED_MARK}${seed}`;
}

function modelOf(said: Said, options: ResolveOptions): Model {
  const name = said.get('model') ?? options.defaultModel;
  const model = options.models.get(name);
  if (model === undefined) throw said.refuse('model', `there is no model "${name}"`, 'model_missing');
  return model;
}

function requestOf(said: Said, model: Model, loras: ResolveOptions['loras']): Omit<Request, 'seed'> {
  const prompt = textOf(said, 'prompt');
  if (prompt === '') throw said.refuse('prompt', 'the prompt is empty', 'empty_prompt');
  const guidance = guidanceOf(said, model);
  return {
    model: model.name,
    modelHash: model.hash,
    prompt,
    negativePrompt: negativeOf(said, model, guidance),
    width: sideOf(said, 'width', model),
    height: sideOf(said, 'height', model),
    steps: said.number('steps', 'steps', model.defaults.steps, { least: 1, most: MAX_STEPS, whole: true }),
    ...guidance,
    ...resolveSampler(said, model),
    loras: resolveLoras(said, loras),
    vae: null,
    clipSkip: clipSkipOf(said, model),
    initImage: null,
    strength: null,
  };
}

function textOf(said: Said, name: 'prompt' | 'negativePrompt'): string {
  const label = name === 'prompt' ? 'the prompt' : 'the negative prompt';
  const text = (said.get(name) ?? '').trim();
  if (text.length > MAX_PROMPT_CHARACTERS) {
    throw said.refuse(name, `${label} has ${text.length} characters, more than ${MAX_PROMPT_CHARACTERS}`);
  }
  if (text.includes('\0') || !text.isWellFormed())
    throw said.refuse(name, `${label} holds characters that are no text`);
  const piece = said.get('literal') === true ? undefined : unspokenSyntax(text);
  if (piece === undefined) return text;
  const what = `${label} holds ${piece}, which the worker does not act on yet; take it out, or pass --literal to send it as text`;
  throw said.refuse(name, what, 'unspoken_syntax');
}

/** A text that would change nothing is refused: whoever wrote it believes that it does. */
function negativeOf(said: Said, model: Model, { guidance }: Pick<Request, 'guidance'>): string {
  const text = textOf(said, 'negativePrompt');
  if (text === '' || guidance > 1) return text;
  const what =
    model.family === 'flux'
      ? `${model.name} takes no negative prompt; leave it out`
      : `a negative prompt does nothing with guidance ${guidance}; raise --cfg above 1, or leave it out`;
  throw said.refuse('negativePrompt', what, 'negative_unused');
}

function clipSkipOf(said: Said, { name, clipLayers }: Model): number {
  if (clipLayers === null && said.get('clipSkip') !== undefined && said.get('clipSkip') !== 1)
    throw said.refuse('clipSkip', `${name} knows no clip skip; leave it out`);
  return said.number('clipSkip', 'clip skip', 1, { least: 1, most: clipLayers ?? 1, whole: true }) - 1;
}

function sideOf(said: Said, name: 'width' | 'height', model: Model): number {
  const side = said.number(name, name, model.nativeSize[name], { ...SIZE, whole: true });
  const rest = side % model.sizeMultiple;
  if (rest === 0) return side;
  const near = [side - rest, side - rest + model.sizeMultiple].filter(
    (value) => value >= SIZE.least && value <= SIZE.most,
  );
  const what = `${name} must be divisible by ${model.sizeMultiple} for ${model.name}, not ${side}; ${near.join(' or ')} would do`;
  throw said.refuse(name, what, 'bad_size');
}

/** A distilled model takes the user's one number as its input; its classifier-free guidance stays as it is. */
function guidanceOf(said: Said, { defaults }: Model): Pick<Request, 'guidance' | 'distilledGuidance'> {
  const limits = { least: 0, most: MAX_GUIDANCE, whole: false };
  if (defaults.distilledGuidance === null) {
    return { guidance: said.number('guidance', 'guidance', defaults.guidance, limits), distilledGuidance: null };
  }
  const distilledGuidance = said.number('guidance', 'guidance', defaults.distilledGuidance, limits);
  return { guidance: defaults.guidance, distilledGuidance };
}

function seedOf(said: Said, n: number): number | null {
  const seed = said.get('seed') ?? null;
  if (seed === null) return null;
  if (Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED - (n - 1)) return seed;
  throw said.refuse('seed', `the seed must be from 0 to ${MAX_SEED}, that of the last of ${n} too, not ${seed}`);
}
