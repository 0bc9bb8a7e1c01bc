import pc from 'picocolors';
import { sentenceOf } from '../errors.ts';
import type { Check, Checked } from '../ports.ts';
import type { Millis } from '../units.ts';
import type { Io } from './io.ts';

export interface DoctorOptions {
  readonly json?: boolean;
  /** How long a part may take that does not say itself. */
  readonly limit?: Millis;
  /** Calls back after a delay unless cancelled; keeps the process alive meanwhile. */
  readonly after?: (delay: Millis, callback: () => void) => () => void;
}

/** Something to ask; `name` says who did not answer. */
export interface Part extends Checked {
  readonly name?: string;
  /** How long it may take, where that is longer than for others. */
  readonly limit?: Millis;
}

const LIMIT: Millis = 20_000;

/**
 * Asks every part at once and prints what they say, in their order: a line each, with the line that mends it,
 * or one JSON object. Resolves with the exit code, which is 1 if anything failed.
 */
export async function doctor(parts: readonly Part[], io: Io, options: DoctorOptions = {}): Promise<0 | 1> {
  const checks = (await Promise.all(parts.map((part) => askInTime(part, options)))).flat();
  const failed = checks.some(({ status }) => status === 'fail');
  if (options.json === true) io.out(JSON.stringify({ ok: !failed, checks }));
  else for (const line of linesOf(checks, io.color)) io.out(line);
  return failed ? 1 : 0;
}

async function askInTime(part: Part, options: DoctorOptions): Promise<readonly Check[]> {
  const { after = realAfter } = options;
  const limit = part.limit ?? options.limit ?? LIMIT;
  const name = part.name ?? 'check';
  let cancel = () => {};
  const late = new Promise<readonly Check[]>((resolve) => {
    const detail = `no answer within ${limit / 1000} s`;
    cancel = after(limit, () =>
      resolve([{ name, status: 'fail', detail, mend: 'run it again; if it stays, look for a hung driver or disk' }]),
    );
  });
  try {
    return await Promise.race([part.check(), late]);
  } catch (error) {
    return [{ name, status: 'fail', detail: sentenceOf(error) }];
  } finally {
    cancel();
  }
}

function realAfter(delay: Millis, callback: () => void): () => void {
  const timer = setTimeout(callback, delay);
  return () => clearTimeout(timer);
}

function linesOf(checks: readonly Check[], color: boolean): string[] {
  const width = Math.max(0, ...checks.map(({ name }) => name.length));
  const paint = pc.createColors(color);
  const colors = { ok: paint.green, warn: paint.yellow, fail: paint.red };
  return checks.flatMap(({ name, status, detail, mend }) => [
    `${colors[status](status.padEnd(4))}  ${name.padEnd(width)}  ${detail}`,
    ...(mend === undefined ? [] : [`${' '.repeat(width + 8)}${paint.dim(`→ ${mend}`)}`]),
  ]);
}
