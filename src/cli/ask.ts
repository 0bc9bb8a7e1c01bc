import { readFile } from 'node:fs/promises';
import { parse } from 'node:path';
import { InputError, sentenceOf } from '../errors.ts';
import type { Draft } from '../job/draft.ts';
import { readFields, type Said } from '../job/fields.ts';
import { parsePromptFile, parsePromptLine } from '../job/prompt-file.ts';
import type { Priority, When } from '../ports.ts';
import { presetsWith, requirePreset } from '../preset/catalogue.ts';
import type { Ask } from '../submission.ts';
import type { App } from './app.ts';

/** What is to be made, as the flags of `run` and `submit` say it; those that stand for a setting are in the configuration already. */
export interface AskOptions {
  /** Request fields that were given as flags. */
  readonly fields: readonly Said[];
  readonly n?: number;
  readonly order: 'breadth' | 'depth';
  readonly name?: string;
  readonly priority?: Priority;
  /** Also a setting. */
  readonly when?: When;
  readonly tag: Readonly<Record<string, string>>;
  readonly out?: string;
  readonly literal?: boolean;
  readonly new?: boolean;
  readonly retryFailed?: boolean;
  readonly remakeMissing?: boolean;
}

/** @throws InputError for what cannot be asked, with its place */
export async function askOf(app: App, word: string, options: AskOptions): Promise<Ask> {
  const { config, origins } = app.loaded;
  if (options.new === true && options.name !== undefined) {
    const sentence = 'stands against --name, under which what is done stays done; leave one of them out';
    throw new InputError(sentence, { code: 'bad_flag', place: '--new' });
  }
  if (options.when === 'cheap' && options.priority === 'interactive') {
    const sentence = 'stands against --priority interactive, which never waits; leave one of them out';
    throw new InputError(sentence, { code: 'bad_flag', place: '--when' });
  }
  requirePreset(config.preset, presetsWith(config.presets));
  return {
    id: null,
    drafts: await draftsOf(word, options.literal === true),
    flags: {
      ...readFields(options.fields, { place: 'command line', code: 'bad_flag' }),
      ...(options.literal === true ? { literal: true } : {}),
    },
    defaultModel: config.model,
    n: options.n ?? 1,
    order: options.order,
    name: options.name ?? null,
    hint: isFile(word) ? parse(word).name : word,
    fresh: options.new === true,
    retryFailed: options.retryFailed === true,
    remakeMissing: options.remakeMissing === true,
    out: options.out === undefined ? null : config.out,
    defaultOut: config.out,
    pattern: config.pattern,
    format: config.format,
    sidecar: config.sidecar,
    preset: config.preset,
    // Whoever types one prompt waits for its picture, unless it is to wait.
    priority: options.priority ?? (isFile(word) || options.when === 'cheap' ? 'bulk' : 'interactive'),
    when: origins.when === 'default' ? null : config.when,
    tags: options.tag,
  };
}

/** A name that ends like a prompt file or holds a slash is a file, and must exist: a mistyped one is not a prompt. */
function isFile(word: string): boolean {
  return /\.(txt|csv|jsonl)$/i.test(word) || word.includes('/');
}

async function draftsOf(word: string, literal: boolean): Promise<readonly Draft[]> {
  if (!isFile(word)) return [parsePromptLine(word, 'the prompt', literal)];
  return parsePromptFile(await textOf(word), { path: word, literal });
}

async function textOf(path: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(path));
  } catch (cause) {
    throw new InputError(reasonFor(cause), { code: 'file_unreadable', place: path, cause });
  }
}

function reasonFor(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file; a prompt that holds a slash goes into a file of its own';
  if (code === 'EISDIR') return 'is a folder; name a prompt file';
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'is not UTF-8 text; save it as UTF-8';
  return `cannot be read (${sentenceOf(error)})`;
}
