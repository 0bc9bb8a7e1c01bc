import { arch, availableParallelism, cpus, type as osType, release, totalmem } from 'node:os';
import { extname, join } from 'node:path';
import { z } from 'zod';
import { sentenceOf } from '../errors.ts';
import type { Gpu, Inventory } from '../ports.ts';
import type { Run } from '../process/program.ts';
import type { Millis } from '../units.ts';
import { type NvidiaOptions, type NvidiaReading, readNvidia } from './nvidia.ts';

const PROBE = join(import.meta.dirname, `host-probe${extname(import.meta.filename)}`);
const PROBE_LIMIT: Millis = 15_000;

const probeSchema = z.object({
  cpu: z.object({ name: z.string(), cores: z.number() }),
  os: z.string(),
  virtual: z.boolean().nullable(),
  cards: z.array(z.object({ vendor: z.string(), model: z.string() })),
});
type Probe = z.infer<typeof probeSchema>;

/** Asks systeminformation and nvidia-smi; what they do not say comes from the operating system or is a problem. */
export async function readInventory(options: NvidiaOptions): Promise<Inventory> {
  const [probe, nvidia] = await Promise.all([probeHost(options.run), nvidiaOrProblem(options)]);
  const host = typeof probe === 'string' ? undefined : probe;
  const threads = cpus().length || availableParallelism();
  return {
    host: { os: host?.os || osType(), kernel: `${release()} ${arch()}`, virtual: host?.virtual ?? null },
    cpu: {
      name: host?.cpu.name || cpus()[0]?.model || 'unknown',
      cores: Math.min(host?.cpu.cores || threads, threads),
      threads,
    },
    memory: totalmem(),
    gpus: [...nvidia.gpus, ...otherCards(host?.cards ?? [], nvidia.gpus.length > 0)],
    problems: [...(typeof probe === 'string' ? [probe] : []), ...nvidia.problems],
  };
}

async function probeHost(run: Run): Promise<Probe | string> {
  const ran = await run(process.execPath, [PROBE], PROBE_LIMIT);
  if (ran.kind !== 'exited')
    return `the host was not read: its probe ${ran.kind === 'hung' ? 'did not answer' : 'could not be started'}`;
  try {
    return probeSchema.parse(JSON.parse(ran.stdout));
  } catch (error) {
    const reason = ran.stderr.trim().split('\n')[0] || sentenceOf(error).split('\n')[0];
    return `the host was not read: its probe failed (${reason})`;
  }
}

async function nvidiaOrProblem(options: NvidiaOptions): Promise<Pick<NvidiaReading, 'gpus' | 'problems'>> {
  try {
    return await readNvidia(options);
  } catch (error) {
    return { gpus: [], problems: [sentenceOf(error)] };
  }
}

/** Cards that nvidia-smi does not speak for. */
function otherCards(cards: Probe['cards'], nvidiaListed: boolean): Gpu[] {
  return cards
    .map(({ vendor, model }) => ({ vendor: vendorOf(`${vendor} ${model}`), name: model || vendor }))
    .filter(({ vendor }) => vendor !== 'nvidia' || !nvidiaListed)
    .map((card) => ({ ...card, ...NOTHING_KNOWN }));
}

const NOTHING_KNOWN = {
  index: null,
  uuid: null,
  driver: null,
  memory: null,
  memoryUsed: null,
  power: null,
  powerLimit: null,
} as const;

function vendorOf(text: string): Gpu['vendor'] {
  if (/nvidia/i.test(text)) return 'nvidia';
  if (/\b(amd|ati)\b|advanced micro devices|radeon/i.test(text)) return 'amd';
  return /intel/i.test(text) ? 'intel' : 'other';
}
