import { seeded, shuffled } from './rng.ts';

/** What the prompts of a run bring about, and at which of them. */
export interface Planted {
  readonly prompts: readonly string[];
  /** Indices of the prompts that end their worker each time they are made. */
  readonly poison: readonly number[];
}

export interface PlantAsk {
  readonly seed: number;
  readonly jobs: number;
  readonly poison: number;
}

const POISON = 'poison';

/** Field of the fake engine's script, and the text that brings it about once a prompt. */
const ONCE = {
  hang_on: 'hangs once',
  freeze_on: 'freezes once',
  exit_on: 'leaves once',
  lose_on: 'loses its device once',
  truncate_on: 'is cut off once',
  garbage_on: 'babbles once',
  /** Until it is made with the safe settings. */
  black_on: 'is black once',
} as const;

/** One of each kind for so many jobs. */
const JOBS_A_PLANT = 400;

/** For the fake engine, which reads in a prompt how it is to misbehave. */
export function plantedForFake({ seed, jobs, poison }: PlantAsk): Planted {
  const rng = seeded(seed ^ 0x9e3779b9);
  const places = shuffled([...Array(jobs).keys()], rng);
  const poisoned = places.slice(0, poison);
  const each = Math.max(1, Math.floor(jobs / JOBS_A_PLANT));
  const faults = Object.values(ONCE).flatMap((fault) => Array.from({ length: each }, () => fault));
  const said = new Map<number, string>(poisoned.map((place) => [place, POISON]));
  for (const [at, fault] of faults.entries()) {
    const place = places[poison + at];
    if (place !== undefined) said.set(place, fault);
  }
  const prompts = Array.from({ length: jobs }, (_, at) => `thing ${at} ${said.get(at) ?? 'on a table'}`);
  return { prompts, poison: poisoned.toSorted((a, b) => a - b) };
}

const COLORS = ['red', 'green', 'blue', 'yellow', 'white'];
const SHAPES = ['circle', 'square', 'star'];

/** For the model in the box. Its poison is given by the harness, which kills the worker that makes it. */
export function plantedForDiffusers({ seed, jobs, poison }: PlantAsk): Planted {
  const rng = seeded(seed ^ 0x9e3779b9);
  const any = (words: readonly string[]) => words[Math.floor(rng() * words.length)];
  const prompts = Array.from({ length: jobs }, () => `a ${any(COLORS)} ${any(SHAPES)} on a black background`);
  const places = shuffled([...Array(jobs).keys()], rng);
  return { prompts, poison: places.slice(0, poison).toSorted((a, b) => a - b) };
}

/** The fake engine's script for such prompts. @param onceDir keeps what has happened over all of its processes */
export function fakeScript(onceDir: string): string {
  return JSON.stringify({
    ...ONCE,
    crash_on: POISON,
    once_dir: onceDir,
    chatter: true,
    // A whole batch does not fit, and that is to be learned.
    memory_pixels: { auto: 6 * 128 * 128 },
    step_seconds: 0.02,
    slow_disk_seconds: 0.002,
  });
}
