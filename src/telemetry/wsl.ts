import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Check } from '../ports.ts';
import type { Run } from '../process/program.ts';
import type { Bytes, Millis } from '../units.ts';
import { gibibytes } from './gibibytes.ts';

export interface WslFacts {
  readonly run: Run;
  /** All that Linux was given. */
  readonly memory: Bytes;
  readonly dataDir: string;
  readonly modelsDir: string;
  /** Where `/proc` and `/mnt` are looked for. */
  readonly root?: string;
}

const MEMORY_WANTED: Bytes = 12 * 1024 ** 3;
const POWERCFG_LIMIT: Millis = 5_000;
/** File systems that lead to a Windows disk: slow, and without the locks that a database needs. */
const WINDOWS_FILE_SYSTEMS = new Set(['9p', 'drvfs', 'virtiofs']);
const CONFIG_NAME = '%UserProfile%\\.wslconfig';

/** What breaks nights under WSL; nothing elsewhere. */
export async function wslChecks(facts: WslFacts): Promise<readonly Check[]> {
  const root = facts.root ?? '/';
  const kernel = await kernelOf(root);
  if (!/microsoft/i.test(kernel)) return [];
  if (!/wsl2/i.test(kernel)) {
    return [
      {
        name: 'wsl',
        status: 'fail',
        detail: 'this is WSL 1, which reaches no card',
        mend: 'in PowerShell: wsl --set-version <distribution> 2',
      },
    ];
  }
  const [mounts, settings, sleep] = await Promise.all([
    textOf(join(root, 'proc', 'mounts')),
    wslConfig(join(root, 'mnt', 'c', 'Users')),
    sleepCheck(facts.run, join(root, 'mnt', 'c', 'Windows', 'System32', 'powercfg.exe')),
  ]);
  return [...placeChecks(facts, mounts), memoryCheck(facts.memory, settings), idleCheck(settings), sleep];
}

/** Where this is so, the driver of a card puts into the host's memory what does not fit into the card's. */
export async function isWsl2(root = '/'): Promise<boolean> {
  return /microsoft.*wsl2/i.test(await kernelOf(root));
}

function kernelOf(root: string): Promise<string> {
  return textOf(join(root, 'proc', 'sys', 'kernel', 'osrelease'));
}

function placeChecks({ dataDir, modelsDir }: WslFacts, mounts: string): Check[] {
  const checks: Check[] = [];
  if (onWindowsDisk(dataDir, mounts)) {
    const detail = `${dataDir} is on a Windows disk, where the database and the queue are not safe`;
    checks.push({
      name: 'wsl data',
      status: 'fail',
      detail,
      mend: 'set data_dir to a folder on the Linux disk, as ~/.local/share/kilnwatt',
    });
  }
  if (onWindowsDisk(modelsDir, mounts)) {
    const detail = `${modelsDir} is on a Windows disk, from which models load many times slower`;
    checks.push({
      name: 'wsl models',
      status: 'warn',
      detail,
      mend: 'move the models to the Linux disk and set models_dir',
    });
  }
  return checks.length > 0
    ? checks
    : [{ name: 'wsl disk', status: 'ok', detail: 'data and models are on the Linux disk' }];
}

/** By the longest mount point that the path lies under. */
function onWindowsDisk(path: string, mounts: string): boolean {
  let longest = { point: '', kind: '' };
  for (const line of mounts.split('\n')) {
    const [, escaped = '', kind = ''] = line.split(' ');
    const point = escaped.replaceAll('\\040', ' ');
    const under = point === '/' || path === point || path.startsWith(`${point}/`);
    if (point !== '' && under && point.length >= longest.point.length) longest = { point, kind };
  }
  return WINDOWS_FILE_SYSTEMS.has(longest.kind);
}

function memoryCheck(memory: Bytes, settings: Settings): Check {
  const given = settings.get('wsl2.memory');
  const detail = `Linux has ${gibibytes(memory)} (${given === undefined ? 'half of the machine, the default' : `memory=${given}`})`;
  if (memory >= MEMORY_WANTED) return { name: 'wsl memory', status: 'ok', detail };
  return {
    name: 'wsl memory',
    status: 'warn',
    detail,
    mend: `set memory=… under [wsl2] in ${CONFIG_NAME}, then: wsl --shutdown`,
  };
}

/** Two clocks stop an idle Linux; -1 stops the clock. */
function idleCheck(settings: Settings): Check {
  const running = ['general.instanceidletimeout', 'wsl2.vmidletimeout'].filter(
    (name) => !settings.get(name)?.startsWith('-'),
  );
  if (running.length === 0)
    return { name: 'wsl idle', status: 'ok', detail: 'Linux is not stopped when its last window closes' };
  return {
    name: 'wsl idle',
    status: 'warn',
    detail: 'Windows stops Linux soon after its last window closes',
    mend: `keep a window open, or set instanceIdleTimeout=-1 under [general] and vmIdleTimeout=-1 under [wsl2] in ${CONFIG_NAME}, then: wsl --shutdown`,
  };
}

/** The last two numbers are the seconds to sleep on mains and on battery, in whatever language the rest is. */
async function sleepCheck(run: Run, powercfg: string): Promise<Check> {
  const mend = 'in PowerShell: powercfg /change standby-timeout-ac 0';
  const ran = await run(powercfg, ['/query', 'SCHEME_CURRENT', 'SUB_SLEEP', 'STANDBYIDLE'], POWERCFG_LIMIT);
  const numbers =
    ran.kind === 'exited'
      ? [...ran.stdout.matchAll(/0x([0-9a-f]{8})\b/gi)].map((match) => Number.parseInt(match[1] ?? '', 16))
      : [];
  const seconds = numbers.at(-2);
  if (seconds === undefined)
    return { name: 'wsl sleep', status: 'warn', detail: 'whether Windows goes to sleep could not be read', mend };
  if (seconds === 0) return { name: 'wsl sleep', status: 'ok', detail: 'Windows stays awake on mains power' };
  return {
    name: 'wsl sleep',
    status: 'warn',
    detail: `Windows goes to sleep after ${Math.round(seconds / 60)} minutes without a user`,
    mend,
  };
}

/** By `section.name` in lower case. */
type Settings = ReadonlyMap<string, string>;

/** The first `.wslconfig` of a Windows user; which of them started this Linux is not told. */
async function wslConfig(users: string): Promise<Settings> {
  const names = await readdir(users).catch(() => []);
  for (const name of names) {
    const text = await textOf(join(users, name, '.wslconfig'));
    if (text !== '') return parseIni(text);
  }
  return new Map();
}

function parseIni(text: string): Settings {
  const settings = new Map<string, string>();
  let section = '';
  for (const line of text.split(/\r?\n/)) {
    const heading = /^\s*\[(\w+)\]/.exec(line);
    const pair = /^\s*(\w+)\s*=\s*([^#;\s]+)/.exec(line);
    if (heading !== null) section = (heading[1] ?? '').toLowerCase();
    else if (pair !== null) settings.set(`${section}.${(pair[1] ?? '').toLowerCase()}`, pair[2] ?? '');
  }
  return settings;
}

/** A file that is not there or not ours to read says nothing. */
function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
