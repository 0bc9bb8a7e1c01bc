import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { parse } from 'node:path';
import { absolutePath } from '../config-path.ts';
import { InputError, sentenceOf } from '../errors.ts';
import type { Draft } from '../job/draft.ts';
import { readFields, type Said } from '../job/fields.ts';
import { parsePromptFile, parsePromptLine } from '../job/prompt-file.ts';
import { presetNamed } from '../preset/catalogue.ts';
import type { Ask } from '../submission.ts';
import type { App, Interrupts } from './app.ts';
import { requireSheetPath } from './contact-sheet.ts';
import { assumptionsOf, pricesOf } from './prices.ts';
import type { RunSummary } from './run-events.ts';
import { humanReporter } from './run-human.ts';
import { jsonReporter } from './run-json.ts';
import { runSession } from './run-session.ts';

/** `kilnwatt run`, as its flags say it; flags that stand for a setting are in the configuration already. */
export interface RunOptions {
  /** Request fields that were given as flags. */
  readonly fields: readonly Said[];
  readonly n?: number;
  readonly order: 'breadth' | 'depth';
  readonly name?: string;
  readonly tag: Readonly<Record<string, string>>;
  readonly out?: string;
  readonly contactSheet?: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  readonly literal?: boolean;
  readonly new?: boolean;
  readonly retryFailed?: boolean;
  readonly remakeMissing?: boolean;
  readonly interrupts: Interrupts;
}

/** @returns the exit code */
export async function run(app: App, [word = '']: readonly string[], options: RunOptions): Promise<number> {
  const { config } = app.loaded;
  if (options.new === true && options.name !== undefined) {
    const sentence = 'stands against --name, under which what is done stays done; leave one of them out';
    throw new InputError(sentence, { code: 'bad_flag', place: '--new' });
  }
  presetNamed(config.preset);
  const contactSheet =
    options.contactSheet === undefined ? null : absolutePath(options.contactSheet, process.cwd(), homedir());
  if (contactSheet !== null) await requireSheetPath(contactSheet);
  const ask: Ask = {
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
    tags: options.tag,
  };
  const { clock, io } = app;
  const assumptions = (bill: RunSummary) => assumptionsOf(app.loaded, bill);
  const reporter =
    options.json === true
      ? jsonReporter(io, assumptions)
      : humanReporter({ io, clock, cwd: process.cwd(), assumptions });
  try {
    const { interrupts, dryRun = false } = options;
    return await runSession({ app, ask, prices: pricesOf(config), reporter, dryRun, contactSheet, interrupts });
  } finally {
    reporter.close();
  }
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
