import { join } from 'node:path';
import { InputError } from '../errors.ts';
import type { ImageFormat } from '../ports.ts';
import { safePart, slug } from './file-name.ts';
import { suggestion } from './nearest.ts';
import type { Wanted } from './resolve.ts';

export interface NamingOptions {
  /** A path below `out` with `{run} {index:05} {seed} {id} {date} {prompt:40} {model} {name}` in it. */
  readonly pattern: string;
  readonly format: ImageFormat;
  /** Absolute path of the folder of the pictures. */
  readonly out: string;
  /** Paths that other jobs of the run have. */
  readonly taken: ReadonlySet<string>;
}

export interface NamedJob {
  readonly run: string;
  readonly index: number;
  readonly seed: number;
  readonly id: string;
  /** When the run began. */
  readonly date: Date;
  readonly wanted: Pick<Wanted, 'request' | 'identity' | 'n' | 'name'>;
}

/**
 * Where a job's picture goes: absolute, below `out`, portable to Windows, with the format's extension.
 * A line's own name takes the place of the last part of the pattern, unless the pattern says `{name}`.
 * @throws InputError `bad_pattern`
 */
export function targetFor(options: NamingOptions, job: NamedJob): string {
  const { parts: wanted, saysName } = readPattern(options.pattern);
  const parts = wanted.map((part) => safePart(part.map((piece) => piece(job)).join('')));
  const name = ownName(job.wanted);
  if (name !== undefined && !saysName) parts[parts.length - 1] = safePart(name);
  const base = join(options.out, ...parts);
  const extension = EXTENSIONS[options.format];
  let path = `${base}${extension}`;
  // The index differs within a run, so that one try is enough unless somebody names pictures just so.
  for (let again = 1; options.taken.has(path); again += 1) {
    path = `${base}-${padded(job.index, 5)}${again === 1 ? '' : `-${again}`}${extension}`;
  }
  return path;
}

/** `20261124-091500-prompts`: the name of a run that was given none, in local time. */
export function runNameFor(began: Date, hint: string): string {
  const day = `${began.getFullYear()}${padded(began.getMonth() + 1, 2)}${padded(began.getDate(), 2)}`;
  const time = `${padded(began.getHours(), 2)}${padded(began.getMinutes(), 2)}${padded(began.getSeconds(), 2)}`;
  return [day, time, slug(hint, 40)].filter((part) => part !== '').join('-');
}

/**
 * The name, if it can be a folder's on every system.
 * @throws InputError `bad_run_name`
 */
export function checkRunName(name: string): string {
  const usual = /^[\p{L}\p{M}\p{N}_][\p{L}\p{M}\p{N} _.,@+=()-]*$/u.test(name);
  if (usual && [...name].length <= MAX_RUN_NAME && safePart(name) === name) return name;
  const what = `"${name}" cannot name a run: up to ${MAX_RUN_NAME} letters, digits, blanks and any of _ . , @ + = ( ) -, beginning with a letter or digit, and no name that Windows keeps for itself`;
  throw new InputError(what, { code: 'bad_run_name', place: '--name' });
}

/** Why a pattern cannot name pictures; undefined for one that can. */
export function patternFault(pattern: string): string | undefined {
  try {
    readPattern(pattern);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

const MAX_RUN_NAME = 100;
const EXTENSIONS: Readonly<Record<ImageFormat, string>> = { png: '.png', jpeg: '.jpg', webp: '.webp' };
const ANY_EXTENSION = /\.(?:png|jpe?g|webp)$/i;
const PLACEHOLDER = /\{([^{}:]*)(?::([^{}]*))?\}/g;

type Piece = (job: NamedJob) => string;

interface Pattern {
  readonly parts: readonly (readonly Piece[])[];
  readonly saysName: boolean;
}

/** A run has one pattern for its thousands of pictures. */
const READ = new Map<string, Pattern>();

function readPattern(pattern: string): Pattern {
  const read = READ.get(pattern) ?? {
    parts: partsOf(pattern).map(piecesOf),
    saysName: /\{name[:}]/.test(pattern),
  };
  READ.set(pattern, read);
  return read;
}

function partsOf(pattern: string): string[] {
  const parts = pattern.replace(/^\.\//, '').replace(ANY_EXTENSION, '').split(/[/\\]/);
  const outside = parts.some((part) => part === '..' || /^[a-z]:$/i.test(part)) || parts[0] === '';
  if (outside || parts.some((part) => part.trim() === '' || part === '.')) {
    throw badPattern(`"${pattern}" must be a path below the folder of the pictures, without empty parts`);
  }
  if (/[{}]/.test(pattern.replaceAll(PLACEHOLDER, ''))) throw badPattern(`"${pattern}" has a lone { or }`);
  return parts;
}

function piecesOf(part: string): Piece[] {
  const pieces: Piece[] = [];
  let end = 0;
  for (const { 0: whole, 1: name = '', 2: width, index } of part.matchAll(PLACEHOLDER)) {
    const before = part.slice(end, index);
    const value = VALUES[checkPlaceholder(name, width)];
    pieces.push(
      () => before,
      (job) => value(job, width),
    );
    end = index + whole.length;
  }
  return [...pieces, () => part.slice(end)];
}

type Placeholder = 'run' | 'index' | 'seed' | 'id' | 'date' | 'prompt' | 'model' | 'name';

const VALUES: Readonly<Record<Placeholder, (job: NamedJob, width?: string) => string>> = {
  run: (job) => job.run,
  index: (job, width = '1') => padded(job.index, Number(width)),
  seed: (job) => String(job.seed),
  id: (job) => job.id,
  date: ({ date }) => `${date.getFullYear()}-${padded(date.getMonth() + 1, 2)}-${padded(date.getDate(), 2)}`,
  prompt: (job, width = '40') => slug(job.wanted.request.prompt, Number(width)) || 'prompt',
  model: (job) => job.wanted.request.model.split(/[/\\]/).findLast((part) => part !== '') ?? 'model',
  name: (job) => ownName(job.wanted) ?? padded(job.index, 5),
};

function checkPlaceholder(name: string, width?: string): Placeholder {
  const known = isPlaceholder(name);
  if (!known) {
    const names = Object.keys(VALUES);
    throw badPattern(
      `{${name}} is no part of a name${suggestion(name, names)} (known: ${names.map((one) => `{${one}}`).join(' ')})`,
    );
  }
  const counts = name === 'index' || name === 'prompt';
  if (width !== undefined && !(counts && /^\d{1,3}$/.test(width) && Number(width) > 0)) {
    throw badPattern(`{${name}:${width}} cannot be read; only {index:05} and {prompt:40} take a number, from 1 to 999`);
  }
  return name;
}

function isPlaceholder(name: string): name is Placeholder {
  return Object.hasOwn(VALUES, name);
}

/** The line's name without a picture's extension; pictures of one line are told apart by their number from 1. */
function ownName({ name, n, identity }: NamedJob['wanted']): string | undefined {
  const own = name?.replace(ANY_EXTENSION, '');
  if (own === undefined || own === '') return undefined;
  return n > 1 ? `${own}-${identity.k + 1}` : own;
}

function padded(number: number, width: number): string {
  return String(number).padStart(width, '0');
}

function badPattern(what: string): InputError {
  return new InputError(`the pattern ${what}`, { code: 'bad_pattern' });
}
