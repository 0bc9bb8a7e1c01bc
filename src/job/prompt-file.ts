import { InputError } from '../errors.ts';
import { readCsv } from './csv-lines.ts';
import type { Draft, Fields } from './draft.ts';
import { parseFlags, splitTrailingFlags } from './flags.ts';
import { readJsonl } from './jsonl-lines.ts';

export interface PromptFileOptions {
  /** As the user named it: its extension says the format, and errors begin with it. */
  readonly path: string;
  /** An unknown `--word` in a plain line, and syntax that the worker does not speak, are text. */
  readonly literal: boolean;
}

/**
 * Reads a whole prompt file: `.csv` and `.jsonl` by their extension, anything else as one prompt a line.
 * @throws InputError with file and line; nothing of a file with an error in it is used
 */
export function parsePromptFile(text: string, options: PromptFileOptions): Draft[] {
  if (text.includes('\0')) {
    throw new InputError('is not UTF-8 text; save it as UTF-8', { code: 'not_text', place: options.path });
  }
  const clean = text.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
  const drafts = readerOf(options.path)(clean, options.path, options.literal);
  if (drafts.length === 0) throw new InputError('holds no prompts', { code: 'no_prompts', place: options.path });
  refuseSameNames(drafts);
  return options.literal ? drafts.map((draft) => ({ ...draft, literal: true })) : drafts;
}

/**
 * Reads one line of a `.txt` file, or a prompt that was given on the command line: flags only where it
 * begins with `--`, otherwise a prompt that may end in the same flags.
 * @throws InputError `bad_flag`
 */
export function parsePromptLine(line: string, place: string, literal: boolean): Draft {
  if (!/^--[a-z]/i.test(line.trim())) {
    const { prompt, fields } = splitTrailingFlags(line, place, literal);
    return { ...fields, prompt, place, ...(literal ? { literal } : {}) };
  }
  const fields = parseFlags(line, place);
  return { ...fields, prompt: promptOf(fields, place), place, ...(literal ? { literal } : {}) };
}

type Reader = (text: string, path: string, literal: boolean) => Draft[];

function readerOf(path: string): Reader {
  if (/\.csv$/i.test(path)) return readCsv;
  if (/\.jsonl$/i.test(path)) return readJsonl;
  return readTxt;
}

function readTxt(text: string, path: string, literal: boolean): Draft[] {
  return text.split('\n').flatMap((line, at) => {
    const said = line.trim();
    return said === '' || said.startsWith('#') ? [] : [parsePromptLine(said, `${path}:${at + 1}`, literal)];
  });
}

function promptOf(fields: Fields, place: string): string {
  if (fields.prompt !== undefined) return fields.prompt;
  throw new InputError('a line of flags needs a --prompt', { code: 'bad_flag', place });
}

/** A name stands for one picture, or the second would take the first one's file. */
function refuseSameNames(drafts: readonly Draft[]): void {
  const places = new Map<string, string>();
  for (const { name, place } of drafts) {
    if (name === undefined) continue;
    const first = places.get(name);
    if (first !== undefined) {
      throw new InputError(`the name "${name}" is taken by ${first}; names must differ`, {
        code: 'duplicate_name',
        place,
      });
    }
    places.set(name, place);
  }
}
