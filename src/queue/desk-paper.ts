import { z } from 'zod';
import {
  AppError,
  ConfigError,
  HandedBack,
  InputError,
  StorageError,
  sentenceOf,
  UnavailableError,
} from '../errors.ts';
import type { Clerk } from '../ports.ts';

const refusal = z.strictObject({
  v: z.literal(1),
  kind: z.literal('refusal'),
  /** What it means for an exit code. */
  of: z.enum(['input', 'config', 'storage', 'unavailable', 'internal']),
  code: z.string(),
  message: z.string(),
  place: z.string().nullable(),
});

/** What lies on a desk: a question, or what it was answered with in its place. */
const paper = z.discriminatedUnion('kind', [
  z.strictObject({ v: z.literal(1), kind: z.literal('question'), body: z.unknown() }),
  z.strictObject({ v: z.literal(1), kind: z.literal('answer'), body: z.unknown() }),
  refusal,
]);
export type Paper = z.infer<typeof paper>;
type Refusal = z.infer<typeof refusal>;

/** Redis holds a question in memory until it is answered. */
const MAX_BYTES = 32_000_000;

/** @throws InputError `question_too_large` */
export function questionPaper(body: unknown): Paper {
  const asked: Paper = { v: 1, kind: 'question', body };
  const bytes = Buffer.byteLength(JSON.stringify(asked));
  if (bytes <= MAX_BYTES) return asked;
  const [size, most] = [bytes, MAX_BYTES].map((count) => (count / 1_000_000).toFixed(1));
  throw new InputError(`what is asked for takes ${size} MB, and at most ${most} MB travel to another host; split it`, {
    code: 'question_too_large',
  });
}

/**
 * What is to be written in the place of a question; null where an answer stands there already. Never fails but with
 * HandedBack; a fault that is no business of the asker is logged.
 */
export async function answerTo(
  written: unknown,
  { id, clerk, log }: { readonly id: string; readonly clerk: Clerk; readonly log: (line: string) => void },
): Promise<Paper | null> {
  try {
    const read = readPaper(written);
    return read.kind === 'question' ? { v: 1, kind: 'answer', body: await clerk({ id, body: read.body }) } : null;
  } catch (error) {
    if (error instanceof HandedBack) throw error;
    const refused = refusalOf(error);
    if (refused.of === 'internal') log(`queue: ${id} could not be answered: ${detailOf(error)}`);
    return refused;
  }
}

export function isAnswered(written: unknown): boolean {
  const read = paper.safeParse(written);
  return read.success && read.data.kind !== 'question';
}

/** @throws what the clerk refused the question with; ConfigError `desk_unreadable` */
export function answerOn(written: unknown): unknown {
  const read = readPaper(written);
  if (read.kind === 'answer') return read.body;
  throw read.kind === 'refusal' ? errorOf(read) : unreadable('it holds no answer');
}

function readPaper(written: unknown): Paper {
  const read = paper.safeParse(written);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  const what = [issue?.path.join('.'), issue?.message].filter((part) => part !== '').join(': ');
  throw unreadable(what);
}

function unreadable(what: string): ConfigError {
  const sentence = `what lies in the queue was written by another version of kilnwatt (${what}); use one version on both hosts`;
  return new ConfigError(sentence, { code: 'desk_unreadable' });
}

function refusalOf(error: unknown): Refusal {
  const paper = { v: 1, kind: 'refusal', place: null } as const;
  const of = kindOf(error);
  if (of === 'internal' || !(error instanceof AppError))
    return { ...paper, of: 'internal', code: 'internal', message: FAULT };
  const { code, message } = error;
  const place = error instanceof InputError ? (error.place ?? null) : null;
  // The sentence begins with the place, which the asker's error puts before it again.
  return { ...paper, of, code, place, message: place === null ? message : message.slice(place.length + 2) };
}

const FAULT = 'whoever serves met a fault of its own; it is written where that kilnwatt writes its messages';

function kindOf(error: unknown): Refusal['of'] {
  if (error instanceof InputError) return 'input';
  if (error instanceof ConfigError) return 'config';
  if (error instanceof StorageError) return 'storage';
  return error instanceof UnavailableError ? 'unavailable' : 'internal';
}

function errorOf({ of, code, message, place }: Refusal): AppError {
  if (of === 'input') return new InputError(message, { code, ...(place === null ? {} : { place }) });
  if (of === 'config') return new ConfigError(message, { code });
  if (of === 'storage') return new StorageError(message, { code });
  return of === 'unavailable' ? new UnavailableError(message, { code }) : new AppError(message, { code });
}

function detailOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : sentenceOf(error);
}
