import { UnavailableError } from '../errors.ts';
import type { Gpu } from '../ports.ts';
import type { Run } from '../process/program.ts';
import type { Millis } from '../units.ts';
import { hasNvidiaHardware } from './hardware.ts';

export interface NvidiaReading {
  /** False where no nvidia-smi is found; then there are no cards. */
  readonly installed: boolean;
  readonly gpus: readonly Gpu[];
  /** The field that power was read from, or null where this nvidia-smi knows none. */
  readonly powerField: string | null;
  /** Lines that were not understood. */
  readonly problems: readonly string[];
}

/** Where it is, in order; WSL2 keeps it outside of some PATHs. */
const PLACES = ['nvidia-smi', '/usr/lib/wsl/lib/nvidia-smi'];
/** The first call without a persistent driver takes seconds. */
const LIMIT: Millis = 8_000;
const NO_DEVICES = /^no devices were found/im;

/** What is asked, each with its spellings, newest first; a field that nvidia-smi does not list fails the whole query. */
const WANTED = {
  index: ['index'],
  uuid: ['uuid', 'gpu_uuid'],
  name: ['name', 'gpu_name'],
  driver: ['driver_version'],
  memory: ['memory.total'],
  memoryUsed: ['memory.used'],
  power: ['power.draw.instant', 'power.draw'],
  powerLimit: ['enforced.power.limit', 'power.limit'],
} as const;
type Wanted = keyof typeof WANTED;

export interface NvidiaOptions {
  readonly run: Run;
  readonly limit?: Millis;
  readonly hasHardware?: () => Promise<boolean>;
}

/**
 * The NVIDIA cards of this host. An nvidia-smi that fails where there is no card is a leftover, and none.
 * @throws UnavailableError `nvidia_smi_failed`
 */
export async function readNvidia(options: NvidiaOptions): Promise<NvidiaReading> {
  try {
    return await query(options.run, options.limit ?? LIMIT);
  } catch (error) {
    if (!(error instanceof UnavailableError) || (await (options.hasHardware ?? hasNvidiaHardware)())) throw error;
    return {
      installed: true,
      gpus: [],
      powerField: null,
      problems: ['nvidia-smi is installed, but this machine has no NVIDIA card'],
    };
  }
}

async function query(run: Run, limit: Millis): Promise<NvidiaReading> {
  const help = await firstPresent(run, limit);
  if (help === undefined) return { installed: false, gpus: [], powerField: null, problems: [] };
  const fields = chooseFields(help.stdout);
  const asked = [...fields.values()].join(',');
  const rows = await ask(run, help.program, [`--query-gpu=${asked}`, '--format=csv,noheader,nounits'], limit);
  const read = rows
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !NO_DEVICES.test(line))
    .map((line) => gpuOf(line, [...fields.keys()]));
  return {
    installed: true,
    gpus: read.filter((row) => typeof row !== 'string'),
    powerField: fields.get('power') ?? null,
    problems: read.filter((row) => typeof row === 'string'),
  };
}

async function firstPresent(run: Run, limit: Millis): Promise<{ program: string; stdout: string } | undefined> {
  for (const program of PLACES) {
    const stdout = await askIfPresent(run, program, ['--help-query-gpu'], limit);
    if (stdout !== undefined) return { program, stdout };
  }
  return undefined;
}

async function ask(run: Run, program: string, args: readonly string[], limit: Millis): Promise<string> {
  return (await askIfPresent(run, program, args, limit)) ?? failure('it went away while it was asked');
}

async function askIfPresent(
  run: Run,
  program: string,
  args: readonly string[],
  limit: Millis,
): Promise<string | undefined> {
  const ran = await run(program, args, limit);
  if (ran.kind === 'absent') return undefined;
  if (ran.kind === 'hung') return failure(`it did not answer within ${ran.seconds} s`);
  // "No devices were found" comes with exit code 6 from some drivers.
  if (ran.code === 0 || NO_DEVICES.test(ran.stdout)) return ran.stdout;
  return failure((ran.stdout || ran.stderr).trim().split('\n')[0] || `it ended with ${ran.code ?? 'a signal'}`);
}

function failure(reason: string): never {
  throw new UnavailableError(
    `nvidia-smi is installed but failed (${reason}); put the NVIDIA driver right, or use --devices cpu`,
    {
      code: 'nvidia_smi_failed',
    },
  );
}

function chooseFields(help: string): Map<Wanted, string> {
  const listed = new Set(
    help
      .split('\n')
      .filter((line) => line.startsWith('"'))
      .flatMap((line) => [...line.matchAll(/"([\w.]+)"/g)].map((match) => match[1])),
  );
  const wanted: readonly Wanted[] = ['index', 'uuid', 'name', 'driver', 'memory', 'memoryUsed', 'power', 'powerLimit'];
  const fields = new Map<Wanted, string>();
  for (const name of wanted) {
    const spelling = WANTED[name].find((candidate) => listed.has(candidate));
    if (spelling !== undefined) fields.set(name, spelling);
  }
  if (!fields.has('uuid') || !fields.has('index')) failure('its list of fields has no index and uuid');
  return fields;
}

/** A card, or the sentence that says why the line is none. */
function gpuOf(line: string, fields: readonly Wanted[]): Gpu | string {
  const cells = line.split(',').map((cell) => cell.trim());
  const cell = (name: Wanted): string | null => {
    const text = cells[fields.indexOf(name)];
    return text === undefined || text === '' || /^\[.*\]$|^n\/a$/i.test(text) ? null : text;
  };
  const index = numberOf(cell('index'));
  const uuid = cell('uuid');
  if (cells.length !== fields.length || index === null || uuid === null || !/^GPU-[\w-]+$/.test(uuid)) {
    return `nvidia-smi answered a line that is no card: ${JSON.stringify(line.slice(0, 80))}`;
  }
  return {
    vendor: 'nvidia',
    name: cell('name') ?? 'NVIDIA',
    index,
    uuid,
    driver: cell('driver'),
    memory: bytesOf(cell('memory')),
    memoryUsed: bytesOf(cell('memoryUsed')),
    power: numberOf(cell('power')),
    powerLimit: numberOf(cell('powerLimit')),
  };
}

/** Without units, nvidia-smi means MiB. */
function bytesOf(mebibytes: string | null): number | null {
  const number = numberOf(mebibytes);
  return number === null ? null : number * 1024 * 1024;
}

function numberOf(text: string | null): number | null {
  return text !== null && /^\d+(\.\d+)?$/.test(text) ? Number(text) : null;
}
