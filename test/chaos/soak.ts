import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Draft } from '../../src/job/draft.ts';
import type { Millis } from '../../src/units.ts';
import { workersOf } from './processes.ts';
import { FAILS, KILLS, SoakHouse, type SoakProvider } from './soak-house.ts';

export interface SoakAsk {
  readonly jobs: number;
  readonly provider: SoakProvider;
  say(sentence: string): void;
}

export interface SoakResult {
  readonly jobs: number;
  readonly failed: number;
  readonly seconds: number;
  /**
   * Growth by least squares, after the warm-up: of resident memory, and of the live heap of the orchestrator's main thread.
   * Null where there is no such process.
   */
  readonly kb_per_1000_jobs: Readonly<Record<Part, number | null>>;
  readonly descriptors: Ends;
  readonly handles: Ends;
  /** A sentence for each bound that does not hold. */
  readonly faults: readonly string[];
}

type Part = 'orchestrator' | 'heap' | 'valkey' | 'worker';
type Sample = Readonly<Record<Part | 'jobs', number>>;
interface Ends {
  readonly start: number;
  readonly end: number;
}

const WAVE = 500;
/** Caches fill and compiled code settles; over fewer jobs single steps of the heap weigh more than any growth. */
const WARM_SHARE = 0.2;
const WARM_LEAST = 10_000;
const LOOK_EVERY_MS: Millis = 50;
/** A year of a card that makes one picture in five seconds is 6 million pictures: they may cost 600 MB, not more. */
const MOST_KB_PER_1000 = 100;
/**
 * The heap of the store's thread is collected when it likes, which makes teeth of 8 MB over some 17,000 jobs: in the
 * shorter form a slope of them says nothing.
 */
const JUDGED: Readonly<Record<SoakProvider, readonly Part[]>> = {
  fake: ['orchestrator', 'heap', 'valkey'],
  python: ['heap', 'valkey', 'worker'],
};
/** A connection may be on its way up or down at either end. */
const MOST_MORE = 2;
/** Of a wave: one that kills its worker each time, and these that fail plainly. */
const FAILING = 5;

/** A long night in little time: mixed runs one after the other, and what is left behind of them. */
export async function soak({ jobs, provider, say }: SoakAsk): Promise<SoakResult> {
  const began = performance.now();
  const warmUp = Math.max(WARM_LEAST, jobs * WARM_SHARE);
  const house = await SoakHouse.open(provider, say);
  try {
    const samples: Sample[] = [];
    let failed = 0;
    let start = openThings();
    for (let made = 0; made < jobs; made += WAVE) {
      failed += await wave(house, provider, made);
      samples.push(sampleOf(house, made + WAVE));
      if (made + WAVE <= warmUp) start = openThings();
      say(`${made + WAVE} of ${jobs} jobs; ${Math.round((samples.at(-1)?.orchestrator ?? 0) / 1_000)} MB`);
    }
    const warm = samples.filter((sample) => sample.jobs > warmUp);
    return result({
      jobs,
      provider,
      failed,
      warm,
      start,
      end: openThings(),
      seconds: (performance.now() - began) / 1_000,
    });
  } finally {
    await house.close();
  }
}

/** One run of {@link WAVE} jobs, whose pictures are thrown away afterwards. @returns how many failed */
async function wave(house: SoakHouse, provider: SoakProvider, first: number): Promise<number> {
  const name = `wave-${first}`;
  const run = await house.submit(name, provider === 'fake' ? mixedDrafts(first) : drafts(first));
  for (;;) {
    const { done, failed } = await house.settled(run);
    if (done + failed === WAVE) {
      rmSync(join(house.outputs, name), { recursive: true });
      return failed;
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** Several batch keys at once. */
function drafts(first: number): readonly Draft[] {
  return Array.from({ length: WAVE }, (_, at) => ({
    prompt: `thing ${first + at}`,
    place: `soak:${at + 1}`,
    steps: 1 + (at % 3),
    width: at % 2 === 0 ? 64 : 128,
  }));
}

function mixedDrafts(first: number): readonly Draft[] {
  return drafts(first).map((draft, at) => {
    if (at === WAVE / 2) return { ...draft, prompt: `${draft.prompt} ${KILLS}` };
    return at % (WAVE / FAILING) === 7 ? { ...draft, prompt: `${draft.prompt} ${FAILS}` } : draft;
  });
}

/** After a collection where the process was started with --expose-gc: what the next one would free has not leaked. */
function sampleOf(house: SoakHouse, jobs: number): Sample {
  const [worker] = workersOf(process.pid).values();
  globalThis.gc?.();
  return {
    jobs,
    orchestrator: residentKb(process.pid),
    heap: process.memoryUsage().heapUsed / 1_000,
    valkey: residentKb(house.valkeyPid),
    worker: worker === undefined ? Number.NaN : residentKb(worker),
  };
}

function residentKb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

function openThings() {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    // Timers come and go with every batch.
    handles: process.getActiveResourcesInfo().filter((kind) => kind !== 'Timeout' && kind !== 'Immediate').length,
  };
}

type Open = ReturnType<typeof openThings>;

function result(found: {
  readonly jobs: number;
  readonly provider: SoakProvider;
  readonly failed: number;
  readonly seconds: number;
  readonly warm: readonly Sample[];
  readonly start: Open;
  readonly end: Open;
}): SoakResult {
  const { jobs, failed, warm, start, end } = found;
  const growth = {
    orchestrator: slope(warm, 'orchestrator'),
    heap: slope(warm, 'heap'),
    valkey: slope(warm, 'valkey'),
    worker: slope(warm, 'worker'),
  };
  const descriptors = { start: start.descriptors, end: end.descriptors };
  const handles = { start: start.handles, end: end.handles };
  const faults = [
    ...JUDGED[found.provider].flatMap((part) => {
      const kb = growth[part];
      const grows = kb !== null && kb > MOST_KB_PER_1000;
      return grows ? [`${part} grows by ${kb} kB per 1,000 jobs, of ${MOST_KB_PER_1000}`] : [];
    }),
    ...Object.entries({ descriptors, handles }).flatMap(([what, ends]) =>
      ends.end > ends.start + MOST_MORE ? [`${ends.end} ${what} are open, and ${ends.start} were`] : [],
    ),
  ];
  return { jobs, failed, seconds: Math.round(found.seconds), kb_per_1000_jobs: growth, descriptors, handles, faults };
}

/** By least squares: single samples jump with every garbage collection. Null where nothing was seen. */
function slope(all: readonly Sample[], part: Part): number | null {
  const samples = all.filter((sample) => !Number.isNaN(sample[part]));
  if (samples.length < 2) return null;
  const mean = (of: (sample: Sample) => number) => samples.reduce((sum, one) => sum + of(one), 0) / samples.length;
  const [jobs, kb] = [mean((sample) => sample.jobs), mean((sample) => sample[part])];
  const both = mean((sample) => (sample.jobs - jobs) * (sample[part] - kb));
  return Math.round((both / mean((sample) => (sample.jobs - jobs) ** 2)) * 1_000_000) / 1_000;
}
