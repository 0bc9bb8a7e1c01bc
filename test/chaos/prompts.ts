import { seeded, shuffled } from '../support/rng.ts';

/** What the prompts of a run bring about, and at which of them. */
export interface Planted {
  readonly prompts: readonly string[];
  /** Indices of the prompts that end their worker each time they are made. */
  readonly poison: readonly number[];
  /** How many others end it once. */
  readonly lethal: number;
  /** How many lose their device once. */
  readonly losses: number;
  /** Of those whose first picture is black. */
  readonly black: readonly number[];
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

/** Of these a worker crashes, or is ended because it hangs or talks nonsense. */
const LETHAL: ReadonlySet<string> = new Set([ONCE.hang_on, ONCE.freeze_on, ONCE.exit_on, ONCE.truncate_on]);

/** Pictures that fit into the memory of the fake engine at once: not a whole batch, and that is to be learned. */
export const FITS = 6;
const PICTURE_PIXELS = 128 * 128;

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
  const placesOf = (isMeant: (fault: string) => boolean) =>
    [...said].flatMap(([place, fault]) => (isMeant(fault) ? [place] : [])).toSorted((a, b) => a - b);
  return {
    prompts,
    poison: placesOf((fault) => fault === POISON),
    lethal: faults.filter((fault) => LETHAL.has(fault)).length,
    losses: faults.filter((fault) => fault === ONCE.lose_on).length,
    black: placesOf((fault) => fault === ONCE.black_on),
  };
}

const COLORS = ['red', 'green', 'blue', 'yellow', 'white'];
const SHAPES = ['circle', 'square', 'star'];

/** For the model in the box. Its poison is given by the harness, which kills the worker that makes it. */
export function plantedForDiffusers({ seed, jobs, poison }: PlantAsk): Planted {
  const rng = seeded(seed ^ 0x9e3779b9);
  const any = (words: readonly string[]) => words[Math.floor(rng() * words.length)];
  const prompts = Array.from({ length: jobs }, () => `a ${any(COLORS)} ${any(SHAPES)} on a black background`);
  const places = shuffled([...Array(jobs).keys()], rng);
  return { prompts, poison: places.slice(0, poison).toSorted((a, b) => a - b), lethal: 0, losses: 0, black: [] };
}

/** The fake engine's script for such prompts. @param onceDir keeps what has happened over all of its processes @param diskSeconds before each picture */
export function fakeScript(onceDir: string, diskSeconds: number): string {
  return JSON.stringify({
    ...ONCE,
    crash_on: POISON,
    once_dir: onceDir,
    chatter: true,
    memory_pixels: { plain: FITS * PICTURE_PIXELS },
    // Long enough to be met while it loads.
    load_seconds: 0.15,
    step_seconds: 0.02,
    slow_disk_seconds: diskSeconds,
  });
}
