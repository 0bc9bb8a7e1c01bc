import type { Millis } from '../units.ts';
import { programRunner } from './program.ts';

export interface BriefRun {
  readonly ok: boolean;
  /** Standard output, trimmed. */
  readonly output: string;
  /** The last line it said on standard error, or why it could not run or end. */
  readonly complaint: string;
}

/** Runs a program that answers and ends, as {@link programRunner} does, for who only asks whether it went well. Never throws. */
export async function runBriefly(
  command: string,
  args: readonly string[],
  options: { readonly limit: Millis; readonly env?: Readonly<Record<string, string>> },
): Promise<BriefRun> {
  const ran = await programRunner(options.env)(command, args, options.limit);
  if (ran.kind === 'absent') return failed(`there is no program ${command}`);
  if (ran.kind === 'hung') return failed(`it did not end within ${ran.seconds} s`);
  const complaint = ran.stderr.trim().split('\n').at(-1) ?? '';
  return { ok: ran.code === 0, output: ran.stdout.trim(), complaint };
}

function failed(complaint: string): BriefRun {
  return { ok: false, output: '', complaint };
}
