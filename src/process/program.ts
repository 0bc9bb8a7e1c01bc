import { execa } from 'execa';
import type { Millis } from '../units.ts';

/** How a short-lived program ended. */
export type Ran =
  | { readonly kind: 'exited'; readonly code: number | null; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'hung'; readonly seconds: number };

/** Runs a program to its end. Never throws, and always answers in time. */
export type Run = (program: string, args: readonly string[], limit: Millis) => Promise<Ran>;

const KILL_AFTER: Millis = 500;
/** A program in an uninterruptible wait (a broken driver) survives SIGKILL; nobody waits for it. */
const ABANDON_AFTER: Millis = 1_000;

/** @param env what the programs find in their environment beside ours */
export function programRunner(env: Readonly<Record<string, string>> = {}): Run {
  return async (program, args, limit) => {
    const child = execa(program, args, {
      env: { LC_ALL: 'C', ...env },
      stdin: 'ignore',
      reject: false,
      timeout: limit,
      forceKillAfterDelay: KILL_AFTER,
      killDescendants: true,
      maxBuffer: 4_000_000,
    });
    const abandoned = new AbortController();
    try {
      const ended = await Promise.race([child, expiry(limit + ABANDON_AFTER, abandoned.signal)]);
      if (ended === undefined) {
        child.nodeChildProcess.unref();
        child.stdout.destroy();
        child.stderr.destroy();
        return { kind: 'hung', seconds: limit / 1000 };
      }
      if (ended.timedOut) return { kind: 'hung', seconds: limit / 1000 };
      if (ended.code === 'ENOENT') return { kind: 'absent' };
      return {
        kind: 'exited',
        code: ended.exitCode ?? null,
        stdout: ended.stdout,
        stderr: ended.stderr || (ended.shortMessage ?? ''),
      };
    } finally {
      abandoned.abort();
    }
  };
}

function expiry(delay: Millis, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), delay);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}
