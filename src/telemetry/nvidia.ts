import { UnavailableError } from '../errors.ts';
import type { Gpu } from '../ports.ts';
import type { Run } from '../process/program.ts';
import type { Millis } from '../units.ts';
import { hasNvidiaHardware } from './hardware.ts';
import { bytesOf, cellsOf, chooseFields, isUuid, numberOf, textOf } from './smi-fields.ts';

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

const WISHES = [
  ['index', ['index']],
  ['uuid', ['uuid', 'gpu_uuid']],
  ['name', ['name', 'gpu_name']],
  ['driver', ['driver_version']],
  ['memory', ['memory.total']],
  ['memoryUsed', ['memory.used']],
  ['power', ['power.draw.instant', 'power.draw']],
  ['powerLimit', ['enforced.power.limit', 'power.limit']],
] as const;
type Wanted = (typeof WISHES)[number][0];

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
  const found = await findNvidiaSmi(run, limit);
  if (found === undefined) return { installed: false, gpus: [], powerField: null, problems: [] };
  const fields = chooseFields<Wanted>(found.help, WISHES);
  if (!fields.has('uuid') || !fields.has('index')) failure('its list of fields has no index and uuid');
  const asked = [...fields.values()].join(',');
  const rows = await ask(run, found.program, [`--query-gpu=${asked}`, '--format=csv,noheader,nounits'], limit);
  const read = rows
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !saysNoDevices(line))
    .map((line) => gpuOf(line, [...fields.keys()]));
  return {
    installed: true,
    gpus: read.filter((row) => typeof row !== 'string'),
    powerField: fields.get('power') ?? null,
    problems: read.filter((row) => typeof row === 'string'),
  };
}

/**
 * Where nvidia-smi is and the list of fields that it knows; undefined where there is none.
 * @throws UnavailableError `nvidia_smi_failed`
 */
export async function findNvidiaSmi(
  run: Run,
  limit = LIMIT,
): Promise<{ readonly program: string; readonly help: string } | undefined> {
  for (const program of PLACES) {
    const help = await askIfPresent(run, program, ['--help-query-gpu'], limit);
    if (help !== undefined) return { program, help };
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
  if (ran.code === 0 || saysNoDevices(ran.stdout)) return ran.stdout;
  return failure((ran.stdout || ran.stderr).trim().split('\n')[0] || `it ended with ${ran.code ?? 'a signal'}`);
}

export function saysNoDevices(text: string): boolean {
  return NO_DEVICES.test(text);
}

function failure(reason: string): never {
  throw new UnavailableError(
    `nvidia-smi is installed but failed (${reason}); put the NVIDIA driver right, or use --devices cpu`,
    {
      code: 'nvidia_smi_failed',
    },
  );
}

/** A card, or the sentence that says why the line is none. */
function gpuOf(line: string, fields: readonly Wanted[]): Gpu | string {
  const cells = cellsOf(line);
  const cell = (name: Wanted): string | null => textOf(cells[fields.indexOf(name)]);
  const index = numberOf(cell('index'));
  const uuid = cell('uuid');
  if (cells.length !== fields.length || index === null || !isUuid(uuid)) {
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
