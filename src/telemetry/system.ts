import { sentenceOf } from '../errors.ts';
import type { Check, Gpu, Inventory, Telemetry } from '../ports.ts';
import { systemClock } from '../process/clock.ts';
import { programRunner } from '../process/program.ts';
import { type GaugeProgram, gaugeOnce } from './gauge.ts';
import { gaugeChecks } from './gauge-check.ts';
import { gibibytes } from './gibibytes.ts';
import { readInventory } from './inventory.ts';
import { type MeterOptions, sharedMeters } from './meters.ts';
import { type NvidiaReading, readNvidia } from './nvidia.ts';
import { plugCheck } from './plug-check.ts';

/** This host: nvidia-smi for NVIDIA cards, the gauge for what they count, systeminformation for all else. */
export function systemTelemetry(options: Partial<MeterOptions> = {}): Telemetry {
  const probing = { run: programRunner(), clock: systemClock, rng: Math.random, ...options };
  let inventory: Promise<Inventory> | undefined;
  const once = () => {
    inventory ??= readInventory(probing);
    return inventory;
  };
  return {
    inventory: once,
    gpus: async () => (await readNvidia(probing)).gpus,
    watch: sharedMeters(probing),
    check: async () => {
      const { clock, plug, fetch: fetcher = fetch } = probing;
      const [inventory, read, plugged] = await Promise.all([
        once(),
        readNvidia(probing).catch((error: unknown) => ({ error })),
        plug === undefined || plug === null ? [] : plugCheck({ plug, clock, fetch: fetcher }),
      ]);
      const energy = 'error' in read ? [] : await energyChecks(read.gpus, options.gauge);
      return [...machineChecks(inventory), ...nvidiaChecks(read, inventory), ...energy, ...[plugged].flat()];
    },
  };
}

async function energyChecks(gpus: readonly Gpu[], gauge: GaugeProgram | undefined): Promise<readonly Check[]> {
  return gpus.length === 0 || gauge === undefined ? [] : gaugeChecks(gpus, await gaugeOnce(gauge));
}

function machineChecks({ host, cpu, memory, problems }: Inventory): Check[] {
  const where = `${host.os}${host.virtual === true ? ' (virtual)' : ''}`;
  const detail = `${where}; ${cpu.name}, ${cpu.cores} cores; ${gibibytes(memory)}`;
  const unread = problems.filter((problem) => problem.startsWith('the host'));
  return [
    { name: 'machine', status: 'ok', detail },
    ...unread.map((problem) => ({ name: 'machine', status: 'warn', detail: problem }) as const),
  ];
}

function nvidiaChecks(read: NvidiaReading | { readonly error: unknown }, inventory: Inventory): Check[] {
  if ('error' in read) {
    return [
      {
        name: 'nvidia-smi',
        status: 'fail',
        detail: sentenceOf(read.error),
        mend: 'run nvidia-smi and follow what it says',
      },
    ];
  }
  const strange = read.problems.map((detail) => ({ name: 'nvidia-smi', status: 'warn', detail }) as const);
  if (read.gpus.length === 0) return [...withoutCards(read, inventory), ...strange];
  return [...read.gpus.map(cardCheck), powerCheck(read), ...others(inventory), ...strange];
}

function withoutCards({ installed }: NvidiaReading, inventory: Inventory): Check[] {
  const unspoken = inventory.gpus.find((gpu) => gpu.vendor === 'nvidia');
  if (unspoken !== undefined) {
    const detail = `${unspoken.name} is in this machine, but ${installed ? 'nvidia-smi does not list it' : 'there is no nvidia-smi'}`;
    return [{ name: 'gpu', status: 'warn', detail, mend: 'install the NVIDIA driver' }];
  }
  const detail = 'no NVIDIA card; pictures are made on the CPU, and their energy is assumed from energy.cpu_watts';
  return [{ name: 'gpu', status: 'ok', detail }, ...others(inventory)];
}

function cardCheck({ index, name, memory, uuid, driver }: Gpu): Check {
  const size = memory === null ? 'memory unknown' : gibibytes(memory);
  return { name: 'gpu', status: 'ok', detail: `${index}: ${name}, ${size}, driver ${driver ?? 'unknown'}, ${uuid}` };
}

function powerCheck({ gpus, powerField }: NvidiaReading): Check {
  const blind = gpus.filter((gpu) => gpu.power === null).map((gpu) => gpu.index);
  if (blind.length === 0) return { name: 'nvidia-smi', status: 'ok', detail: `power is read from ${powerField}` };
  return {
    name: 'nvidia-smi',
    status: 'warn',
    detail: `card ${blind.join(', ')} gives no power reading`,
    mend: 'set energy.gpu_watts, so that its energy can be assumed',
  };
}

function others({ gpus }: Inventory): Check[] {
  return gpus
    .filter((gpu) => gpu.vendor !== 'nvidia')
    .map(({ name, vendor }) => {
      const status = vendor === 'amd' ? 'warn' : 'ok';
      return { name: 'gpu', status, detail: `${name} is not used; kilnwatt speaks to NVIDIA cards only` } as const;
    });
}
