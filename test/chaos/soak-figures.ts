import { readdirSync, readFileSync } from 'node:fs';
import { workersOf } from './processes.ts';
import type { SoakHouse, SoakProvider } from './soak-house.ts';

/** Whose memory is watched: resident, but for the heap, which is the live one of the orchestrator's main thread. */
export type Part = 'orchestrator' | 'heap' | 'valkey' | 'worker';
export type Thing = 'descriptors' | 'valkey_descriptors' | 'worker_descriptors' | 'handles' | 'timers';

/** Kilobytes; NaN where there is no such process. */
export interface Sample extends Readonly<Record<Part, number>> {
  readonly jobs: number;
  readonly workerPid: number | null;
}

export interface Ends {
  readonly start: number;
  readonly end: number;
}

export type Growth = Readonly<Record<Part, number | null>>;

/**
 * The heap of the store's thread is collected when it likes, which makes teeth of 8 MB over some 17,000 jobs: in the
 * shorter form a slope of them says nothing.
 */
const JUDGED: Readonly<Record<SoakProvider, readonly Part[]>> = {
  fake: ['orchestrator', 'heap', 'valkey'],
  python: ['heap', 'valkey', 'worker'],
};
/** A connection, or the timer of a command, may be on its way up or down at either end. */
const MOST_MORE: Readonly<Record<Thing, number>> = {
  descriptors: 2,
  valkey_descriptors: 2,
  worker_descriptors: 2,
  handles: 2,
  timers: 5,
};
/** Of the samples of a worker that was started on the way: its own caches fill first. */
const WORKER_WARM_SHARE = 0.25;

/** After a collection where the process was started with --expose-gc: what the next one would free has not leaked. */
export function sampleOf(house: SoakHouse, jobs: number): Sample {
  const [worker] = workersOf(process.pid).values();
  globalThis.gc?.();
  return {
    jobs,
    workerPid: worker ?? null,
    orchestrator: residentKb(process.pid),
    heap: process.memoryUsage().heapUsed / 1_000,
    valkey: residentKb(house.valkeyPid),
    worker: worker === undefined ? Number.NaN : residentKb(worker),
  };
}

/** What is open, here and in the other processes. */
export function openThings(house: SoakHouse): Readonly<Record<Thing, number>> {
  const [worker] = workersOf(process.pid).values();
  const resources = process.getActiveResourcesInfo();
  const timers = resources.filter((kind) => kind === 'Timeout' || kind === 'Immediate').length;
  return {
    descriptors: descriptorsOf(process.pid),
    valkey_descriptors: descriptorsOf(house.valkeyPid),
    worker_descriptors: worker === undefined ? 0 : descriptorsOf(worker),
    handles: resources.length - timers,
    // Ours keep nothing alive, so Node does not tell of them; those of the libraries do.
    timers: timers + house.timers,
  };
}

/** By least squares, in kilobytes per 1,000 jobs: single samples jump with every garbage collection. */
export function growthOf(samples: readonly Sample[]): Growth {
  const last = samples.at(-1)?.workerPid;
  const own = samples.filter(({ workerPid }) => workerPid === last);
  return {
    orchestrator: slope(samples, 'orchestrator'),
    heap: slope(samples, 'heap'),
    valkey: slope(samples, 'valkey'),
    worker: slope(own.slice(Math.floor(own.length * WORKER_WARM_SHARE)), 'worker'),
  };
}

/** A sentence for each bound that does not hold. @param mostKb growth per 1,000 jobs */
export function soakFaults(
  provider: SoakProvider,
  growth: Growth,
  open: Readonly<Record<Thing, Ends>>,
  mostKb: number,
): readonly string[] {
  const grown = JUDGED[provider].flatMap((part) => {
    const kb = growth[part];
    return kb !== null && kb > mostKb ? [`${part} grows by ${kb} kB per 1,000 jobs, of ${mostKb}`] : [];
  });
  const things = Object.keys(MOST_MORE) as readonly Thing[];
  const left = things.flatMap((thing) => {
    const { start, end } = open[thing];
    return end > start + MOST_MORE[thing] ? [`${end} ${thing} are open, and ${start} were`] : [];
  });
  return [...grown, ...left];
}

/** Null where nothing was seen. */
function slope(all: readonly Sample[], part: Part): number | null {
  const samples = all.filter((sample) => !Number.isNaN(sample[part]));
  if (samples.length < 2) return null;
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, one) => sum + of(one), 0) / samples.length;
  const [jobs, kb] = [mean((sample) => sample.jobs), mean((sample) => sample[part])];
  const both = mean((sample) => (sample.jobs - jobs) * (sample[part] - kb));
  return Math.round((both / mean((sample) => (sample.jobs - jobs) ** 2)) * 1_000_000) / 1_000;
}

function residentKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}
