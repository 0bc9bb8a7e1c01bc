import { execa } from 'execa';
import type { Millis } from '../units.ts';

export interface BriefRun {
  readonly ok: boolean;
  /** Standard output, trimmed. */
  readonly output: string;
  /** The last line it said on standard error, or why it could not run or end. */
  readonly complaint: string;
}

/** Runs a program that answers and ends, and kills it with its descendants after `limit`. Never throws. */
export async function runBriefly(
  command: string,
  args: readonly string[],
  options: { readonly limit: Millis; readonly env?: Readonly<Record<string, string>> },
): Promise<BriefRun> {
  const result = await execa(command, args, {
    reject: false,
    stdin: 'ignore',
    timeout: options.limit,
    forceKillAfterDelay: 1_000,
    killDescendants: true,
    env: options.env ?? {},
  });
  const lastLine = result.stderr.trim().split('\n').at(-1) ?? '';
  return {
    ok: !result.failed,
    output: result.stdout.trim(),
    complaint: result.timedOut || lastLine === '' ? (result.shortMessage ?? '') : lastLine,
  };
}
