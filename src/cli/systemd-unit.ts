import type { Seconds } from '../units.ts';

export interface UnitOptions {
  /** What starts kilnwatt: the interpreter by its absolute path, its flags, the program. */
  readonly command: readonly string[];
  /** What was set for the command that installs it. No secrets: a unit is read by anybody. */
  readonly env: Readonly<Record<string, string>>;
  /** Where `kilnwatt.yaml` lies, if it does not lie in the configuration folder of the user. */
  readonly folder: string | null;
  /** How long a stop may wait for the running batch. */
  readonly stopSeconds: Seconds;
}

/** The first line of a unit that is ours to replace. */
export const UNIT_MARK = '# Written by "kilnwatt serve --install", which replaces it as long as this line is here.';

/** What is done after the running batch has ended, or was given up. */
const REST_OF_STOP: Seconds = 30;

/** A unit of the user's own systemd that runs `kilnwatt serve`. */
export function systemdUnit({ command, env, folder, stopSeconds }: UnitOptions): string {
  return `${UNIT_MARK}
# Changes of your own: systemctl --user edit kilnwatt. Passwords and tokens belong into kilnwatt.yaml, not here.
[Unit]
Description=kilnwatt makes the pictures that were submitted
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${execStart([...command, 'serve'])}
${folder === null ? '' : `WorkingDirectory=${folder.replaceAll('%', '%%')}\n`}${environment(env)}Restart=on-failure
RestartSec=10
# A bad flag or configuration does not mend itself; 130 is a stop that was asked for.
RestartPreventExitStatus=2 4
SuccessExitStatus=130
# The workers and the queue's server are stopped by kilnwatt, in its order; killed is what is left of them.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=${Math.ceil(stopSeconds) + REST_OF_STOP}
# A worker that Linux ends for want of memory is replaced; without this, systemd would stop everything.
OOMPolicy=continue

[Install]
WantedBy=default.target
`;
}

/** systemd takes no quote in the name of a program, but in arguments; in those it looks for variables. */
function execStart(command: readonly string[]): string {
  const [program = '', ...args] = /['"\\]/.test(command[0] ?? '') ? ['/usr/bin/env', ...command] : command;
  return [quoted(program), ...args.map((arg) => quoted(arg).replaceAll('$', '$$$$'))].join(' ');
}

function environment(env: Readonly<Record<string, string>>): string {
  return Object.entries(env)
    .map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}\n`)
    .join('');
}

/** As systemd reads words: escapes as in C, and a percent sign begins a specifier. */
function quoted(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('%', '%%');
  return `"${escaped}"`;
}
