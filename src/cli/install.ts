import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LoadedConfig } from '../config.ts';
import { variableOf } from '../config-given.ts';
import { withoutSecret } from '../config-secret.ts';
import { InputError, StorageError, sentenceOf } from '../errors.ts';
import { makeFolder } from '../process/folder.ts';
import { valueAt } from './config.ts';
import { systemdUnit, UNIT_MARK } from './systemd-unit.ts';

export interface InstallOptions {
  readonly loaded: LoadedConfig;
  /** What starts kilnwatt, up to the name of the command; the first word is an absolute path. */
  readonly command: readonly string[];
  /** As `os.release()` says it: WSL names itself there. */
  readonly kernel: string;
}

/**
 * Writes a systemd user unit for `kilnwatt serve`, with what was set by flags and variables, and changes nothing else.
 * @returns what the user has to do next, a sentence each
 * @throws InputError `unit_foreign` for a unit of that name that somebody else has written
 * @throws StorageError `not_writable`
 */
export async function installService({ loaded, command, kernel }: InstallOptions): Promise<readonly string[]> {
  const { files, config } = loaded;
  const [near, own] = [files.at(0), files.at(-1)];
  const { env, secrets } = explicitSettings(loaded);
  const folder = near?.found === true ? dirname(near.path) : null;
  const unit = systemdUnit({ command, env, folder, stopSeconds: config.limits.stopSeconds });
  const settingsFile = own?.path ?? 'kilnwatt.yaml';
  const path = join(dirname(dirname(settingsFile)), 'systemd', 'user', 'kilnwatt.service');
  const before = await textOf(path);
  if (before !== null && !before.startsWith(UNIT_MARK)) {
    const sentence = `${path} was not written by kilnwatt, and stays as it is; move it away first`;
    throw new InputError(sentence, { code: 'unit_foreign', place: '--install' });
  }
  if (before !== unit) await write(path, unit);
  return [
    `${before === unit ? 'Nothing has changed in' : 'Wrote'} ${path}`,
    'Start it, now and at every login:  systemctl --user daemon-reload && systemctl --user enable --now kilnwatt',
    ...(before === null
      ? []
      : ['If it runs already:  systemctl --user daemon-reload && systemctl --user restart kilnwatt']),
    'Keep it running while you are logged out:  loginctl enable-linger',
    'Read what it says:  journalctl --user -u kilnwatt',
    ...(secrets.length === 0
      ? []
      : [`Left out, because it may be secret: ${secrets.join(', ')}. Set it in ${settingsFile}, with chmod 600`]),
    ...(/microsoft/i.test(kernel) ? WSL_SENTENCES : []),
  ];
}

/** The names as `wslChecks` looks for them. */
const WSL_SENTENCES: readonly string[] = [
  'Under WSL systemd runs with "systemd=true" under [boot] in /etc/wsl.conf',
  'Linux is stopped when its last window closes, unless %UserProfile%\\.wslconfig has "instanceIdleTimeout=-1" under [general] and "vmIdleTimeout=-1" under [wsl2]; then in PowerShell:  wsl --shutdown',
  'Windows must not go to sleep; in PowerShell:  powercfg /change standby-timeout-ac 0',
  'After a restart of Windows, Linux runs when something starts it: open it, or have the Task Scheduler run "wsl.exe --exec true" when you log on',
];

/**
 * What flags and variables say, for a service that sees neither. The data folder is always among it, unless a file names
 * it: it may come from an XDG_DATA_HOME that the service does not have.
 */
function explicitSettings({ config, origins, files }: LoadedConfig) {
  const env: Record<string, string> = {};
  const secrets: string[] = [];
  for (const [path, origin] of Object.entries(origins)) {
    const inFile = files.some((file) => origin.startsWith(`${file.path}:`));
    if (inFile || (origin === 'default' && path !== 'data_dir')) continue;
    const value = valueAt(config, path);
    if (withoutSecret(path, value) === value) env[variableOf(path)] = textFor(value);
    else secrets.push(path);
  }
  return { env, secrets };
}

/** As a variable spells it. */
function textFor(value: unknown): string {
  if (value === null) return 'none';
  return Array.isArray(value) ? value.join(',') : String(value);
}

/** Null for a file that is not there. */
async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw unwritable(path, error);
  }
}

/** At once, so that systemd never reads half of it. */
async function write(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await makeFolder(dirname(path));
    await writeFile(temporary, text);
    await chmod(temporary, 0o644);
    await rename(temporary, path);
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): StorageError {
  return new StorageError(`${path} cannot be written (${sentenceOf(error)})`, { code: 'not_writable', cause: error });
}
