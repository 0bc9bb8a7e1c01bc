import type { Clock, Notice, Notifier } from '../ports.ts';
import { type Child, startChild } from '../process/child.ts';
import { settlesWithin } from '../process/clock.ts';
import type { Millis } from '../units.ts';

export interface CommandOptions {
  /** For `/bin/sh -c`. */
  readonly command: string;
  readonly clock: Clock;
  /** Beside ours and what the notice says. */
  readonly env?: Readonly<Record<string, string>>;
  log(line: string): void;
}

const LIMIT: Millis = 60_000;

/**
 * Runs a command for each notice, in a session of its own, with `KILNWATT_RUN`, `KILNWATT_RUN_ID`, `KILNWATT_KIND` and
 * `KILNWATT_LINE` in its environment. What it says is logged, and so is its failure, which changes nothing else.
 */
export function commandNotifier(options: CommandOptions): Notifier {
  const { command, clock, env, log } = options;
  return {
    async tell(notice) {
      const child = startChild({
        command: '/bin/sh',
        args: ['-c', command],
        clock,
        env: { ...env, ...variablesOf(notice) },
        onLog: (line) => log(`on-done: ${line}`),
      });
      child.endInput();
      const fault = await faultOf(child, clock);
      if (fault !== null) log(`on-done: warning: the command ${fault}`);
    },
    async check() {
      return [{ name: 'notices', status: 'ok', detail: 'handed to a command' }];
    },
  };
}

function variablesOf({ kind, run, line }: Notice): Readonly<Record<string, string>> {
  return { KILNWATT_RUN: run.name, KILNWATT_RUN_ID: run.id, KILNWATT_KIND: kind, KILNWATT_LINE: line };
}

/** Null for a command that went well. */
async function faultOf(child: Child, clock: Clock): Promise<string | null> {
  if (!(await settlesWithin(clock, LIMIT, child.exited))) {
    await child.stop();
    return `did not end within ${LIMIT / 1000} s, and was stopped`;
  }
  const { code, signal, error } = await child.exited;
  if (error !== null) return `could not be started: ${error}`;
  if (code === 0) return null;
  return signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
}
