import { existsSync } from 'node:fs';
import { UnavailableError } from '../errors.ts';

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'];

/** Leaves when the parent died before the promise was given: then nobody is left to die with. */
const SHELL = '[ "$PPID" = "$1" ] || exit 3; shift; exec "$@"';
const PYTHON = `import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit(3)
os.execvp(sys.argv[2], sys.argv[2:])`;

/**
 * A command that gets SIGKILL from the kernel as soon as this process ends, however it ends. For
 * programs that do not see to it themselves. It keeps its pid: no wrapper stays behind. Linux only, and
 * to be started from the main thread, since the kernel watches the thread that forked.
 */
export function diesWithParent(
  command: Command,
  python: string | undefined,
  parent = process.pid,
  setprivs: readonly string[] = SETPRIV,
): Command {
  const setpriv = setprivs.find((path) => existsSync(path));
  const rest = [String(parent), command.command, ...command.args];
  if (setpriv !== undefined) {
    return { command: setpriv, args: ['--pdeathsig', 'KILL', '/bin/sh', '-c', SHELL, 'kilnwatt', ...rest] };
  }
  if (python !== undefined) return { command: python, args: ['-I', '-S', '-c', PYTHON, ...rest] };
  throw new UnavailableError(
    `${command.command} cannot be bound to this process, because there is neither setpriv nor Python; install util-linux`,
    { code: 'no_parent_death_signal' },
  );
}
