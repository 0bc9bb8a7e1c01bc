import { InputError } from '../errors.ts';
import type { Fields } from './draft.ts';
import { isFieldName, readFields, type Said, takesWords, unknownField } from './fields.ts';
import { wordAt } from './shell-words.ts';

/**
 * Reads a text that consists of flags: A1111's and ours, `--flag value` or `--flag=value`, quoted as a
 * shell does; unquoted words after `--prompt` and `--negative_prompt` are joined.
 * @throws InputError `bad_flag` for an unknown or broken one
 */
export function parseFlags(text: string, place: string): Fields {
  const scan = scanFlags(text.trim(), place);
  if (scan.unknown !== undefined) throw unknownFlag(scan.unknown, place);
  return readFields(scan.said, { place, code: 'bad_flag' });
}

/**
 * Divides a plain line into its prompt and the flags that it ends in. What looks like a flag is one, or
 * an error; only with `literal` an unknown `--word` is part of the prompt. A lone `--` is always text.
 * @throws InputError `bad_flag`
 */
export function splitTrailingFlags(line: string, place: string, literal: boolean): { prompt: string; fields: Fields } {
  for (const start of line.matchAll(FLAG_STARTS)) {
    const scan = scanFlags(line.slice(start.index), place);
    if (scan.unknown !== undefined && literal) continue;
    if (scan.unknown !== undefined) {
      throw unknownFlag(scan.unknown, place, ' (as part of a prompt, write it in quotes: --prompt "…")');
    }
    const fields = readFields(scan.said, { place, code: 'bad_flag' });
    if (fields.prompt !== undefined) throw broken('--prompt stands behind a prompt; begin the line with it', place);
    return { prompt: line.slice(0, start.index).trim(), fields };
  }
  return { prompt: line.trim(), fields: {} };
}

const FLAG_STARTS = /(?<=^|\s)(?:--[a-z]|-n[\s=]\s*\d)/gi;
const FLAG_START = /--[a-z]|-n[\s=]\s*\d/iy;
const FLAG = /(--[a-z][\w-]*|-n)(=|\s+|$)/iy;

/** Either everything that was said, or the first flag that nobody knows. */
type Scan = { readonly said: readonly Said[]; readonly unknown?: undefined } | { readonly unknown: string };

function scanFlags(text: string, place: string): Scan {
  const said: Said[] = [];
  let at = 0;
  while (at < text.length) {
    FLAG.lastIndex = at;
    const [whole, label = '', separator] = FLAG.exec(text) ?? [''];
    if (whole === '' && !startsFlag(text, at)) throw stray(text, at, said.at(-1), place);
    const name = label.replace(/^-+/, '');
    if (whole === '' || !isFieldName(name)) return { unknown: /^\S+/.exec(text.slice(at))?.[0] ?? label };
    const value = valueAt(text, at + whole.length, { label, place, glued: separator === '=', words: takesWords(name) });
    said.push({ name, label, value: value.text });
    at = value.end;
  }
  return { said };
}

interface ValueOptions {
  readonly label: string;
  readonly place: string;
  /** The value stands directly behind a `=`. */
  readonly glued: boolean;
  readonly words: boolean;
}

function valueAt(text: string, from: number, options: ValueOptions): { text: string; end: number } {
  if (!options.glued && (from >= text.length || startsFlag(text, from))) {
    throw broken(`${options.label} needs a value`, options.place);
  }
  const words: string[] = [];
  let at = from;
  do {
    const next = wordAt(text, at);
    if (next === undefined) {
      throw broken(`a quote behind ${options.label} is not closed; write a lone one as \\' or \\"`, options.place);
    }
    words.push(next.word);
    at = next.end + (/^\s*/.exec(text.slice(next.end))?.[0].length ?? 0);
  } while (options.words && at < text.length && !startsFlag(text, at));
  return { text: words.join(' '), end: at };
}

function startsFlag(text: string, at: number): boolean {
  FLAG_START.lastIndex = at;
  return FLAG_START.test(text);
}

function stray(text: string, at: number, before: Said | undefined, place: string): InputError {
  const word = /^\S+/.exec(text.slice(at))?.[0] ?? '';
  const behind = before === undefined ? '' : ` behind ${before.label} ${before.value}`;
  return broken(`"${word}"${behind} is no flag; put a value that has spaces in quotes`, place);
}

function unknownFlag(word: string, place: string, mend = ''): InputError {
  const label = word.replace(/=.*$/s, '');
  return unknownField(label, label.slice(2), { place, code: 'bad_flag' }, mend);
}

function broken(what: string, place: string): InputError {
  return new InputError(what, { code: 'bad_flag', place });
}
