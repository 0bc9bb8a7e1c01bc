import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Draft } from '../../src/job/draft.ts';
import type { Millis } from '../../src/units.ts';
import { jobId } from './ledger.ts';
import {
  type Ends,
  type Growth,
  growthOf,
  openThings,
  type Sample,
  sampleOf,
  soakFaults,
  type Thing,
} from './soak-figures.ts';
import { FAILS, KILLS, MODELS, SoakHouse, type SoakProvider } from './soak-house.ts';

export interface SoakAsk {
  readonly jobs: number;
  readonly provider: SoakProvider;
  /** Jobs after which it is measured. */
  readonly warmUp: number;
  /** What memory may grow by per 1,000 jobs. */
  readonly mostKb: number;
  say(sentence: string): void;
}

export interface SoakResult {
  readonly jobs: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly seconds: number;
  /** After the warm-up. Null where there is no such process. */
  readonly kb_per_1000_jobs: Growth;
  readonly open: Readonly<Record<Thing, Ends>>;
  /** A sentence for each bound that does not hold. */
  readonly faults: readonly string[];
}

/** Jobs: two runs, a large one and a small one that goes before it. */
const WAVE = 500;
const URGENT = 50;
const LOOK_EVERY_MS: Millis = 50;
/** Of a large run: these fail plainly. */
const FAILING = 5;
/** Of a large run: these are cancelled, some while they are made. */
const CANCELLED = 5;
/** The worker of the last part has made enough pictures to be measured. */
const DEADLY_SHARE = 0.5;
/** Each such prompt is three deaths, and each death a wait. */
const PYTHON_DEADLY_EVERY = 4;

/** A long night in little time: mixed runs one after the other, and what is left behind of them. */
export async function soak({ jobs, provider, warmUp, mostKb, say }: SoakAsk): Promise<SoakResult> {
  const began = performance.now();
  const house = await SoakHouse.open(provider, say);
  try {
    const samples: Sample[] = [];
    const settled = { failed: 0, cancelled: 0 };
    let start: ReturnType<typeof openThings> | null = null;
    for (let made = 0; made < jobs; made += WAVE) {
      const { failed, cancelled } = await wave(house, bulk(provider, made, jobs), made);
      settled.failed += failed;
      settled.cancelled += cancelled;
      samples.push(sampleOf(house, made + WAVE));
      // After a wave that ended its worker there may be none.
      if (made + WAVE >= warmUp && !isDeadly(provider, made, jobs)) start ??= openThings(house);
      say(`${made + WAVE} of ${jobs} jobs; ${Math.round((samples.at(-1)?.orchestrator ?? 0) / 1_000)} MB`);
    }
    const end = openThings(house);
    const open = betweenOf(start ?? end, end);
    const growth = growthOf(samples.filter((sample) => sample.jobs > warmUp));
    const seconds = Math.round((performance.now() - began) / 1_000);
    const faults = soakFaults(provider, growth, open, mostKb);
    return { jobs, ...settled, seconds, kb_per_1000_jobs: growth, open, faults };
  } finally {
    await house.close();
  }
}

/** {@link WAVE} jobs, whose pictures are thrown away afterwards. */
async function wave(house: SoakHouse, drafts: readonly Draft[], first: number) {
  const name = `wave-${first}`;
  const runs = [await house.submit(name, 'bulk', drafts)];
  const urgent = Array.from({ length: URGENT }, (_, at) => draft(first + drafts.length, at));
  runs.push(await house.submit(`${name}-urgent`, 'interactive', urgent));
  // Those before the last are still waiting; the first ones may be being made.
  const places = Array.from({ length: CANCELLED }, (_, at) => (at === 0 ? 1 : drafts.length - at * 10));
  await house.cancel(places.map((place) => jobId(runs[0] ?? '', place)));
  for (;;) {
    const all = await Promise.all(runs.map((run) => house.settled(run)));
    const failed = all.reduce((sum, one) => sum + one.failed, 0);
    const cancelled = all.reduce((sum, one) => sum + one.cancelled, 0);
    const done = all.reduce((sum, one) => sum + one.done, 0);
    if (done + failed + cancelled === WAVE) {
      for (const run of [name, `${name}-urgent`]) rmSync(join(house.outputs, run), { recursive: true });
      return { failed, cancelled };
    }
    await pause(LOOK_EVERY_MS);
  }
}

/** Several batch keys and two models at once. */
function draft(first: number, at: number): Draft {
  return {
    prompt: `thing ${first + at}`,
    model: MODELS[Math.floor(at / 100) % MODELS.length] ?? MODELS[0],
    place: `soak:${at + 1}`,
    steps: 1 + (at % 3),
    width: at % 2 === 0 ? 64 : 128,
  };
}

/** Whether a wave ends a process, and not only what stands in for one. */
function isDeadly(provider: SoakProvider, first: number, jobs: number): boolean {
  return provider === 'python' && first < jobs * DEADLY_SHARE && (first / WAVE) % PYTHON_DEADLY_EVERY === 0;
}

function bulk(provider: SoakProvider, first: number, jobs: number): readonly Draft[] {
  const deadly = provider === 'fake' || isDeadly(provider, first, jobs);
  return Array.from({ length: WAVE - URGENT }, (_, at) => {
    const one = draft(first, at);
    if (deadly && at === WAVE / 2) return { ...one, prompt: `${one.prompt} ${KILLS}` };
    return at % (WAVE / FAILING) === 7 ? { ...one, prompt: `${one.prompt} ${FAILS}` } : one;
  });
}

function betweenOf(start: Readonly<Record<Thing, number>>, end: Readonly<Record<Thing, number>>): SoakResult['open'] {
  const things = Object.keys(start) as readonly Thing[];
  return Object.fromEntries(
    things.map((thing) => [thing, { start: start[thing], end: end[thing] }]),
  ) as SoakResult['open'];
}
