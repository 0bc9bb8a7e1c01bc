import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  eachLine,
  family,
  kilnwatt,
  MODELS,
  missedLimits,
  newPlace,
  PYTHON,
  ROOT,
  residentMegabytes,
  rounded,
  rowsOf,
  startKilnwatt,
  withScratch,
} from './bench-place.ts';

const BATCH = 4;
const STEPS = 20;
const QUEUED = 10_000;
const LIMITS = { least: { ratio: 0.95 }, most: { own_ms_per_image: 10, orchestrator_rss_mb: 180 } };
const FAKE = { KILNWATT_WORKER_ENGINE: 'fake' };

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '12' },
    rounds: { type: 'string', default: '9' },
    json: { type: 'boolean', default: false },
  },
});
const say = values.json ? console.error : console.log;

await withScratch(async (scratch) => {
  const throughput = compare(scratch, Number(values.images), Number(values.rounds));
  const own = ownMillis(scratch, 400);
  const memory = await memoryWithQueue(scratch);
  const figures = { ...throughput, own_ms_per_image: own, ...memory };
  const missed = missedLimits(figures, LIMITS);
  for (const sentence of missed) say(sentence);
  console.log(JSON.stringify({ ...figures, holds: missed.length === 0 }));
  process.exitCode = missed.length === 0 ? 0 : 1;
});

/**
 * Both sides in alternation, so that a noisy machine disturbs both alike: many short rounds, because a rented machine
 * is a third slower for minutes at a time.
 */
function compare(scratch: string, images: number, rounds: number) {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    ours.push(rate(kilnwattEnds(scratch, images, round)));
    theirs.push(rate(loopEnds(scratch, images, round)));
    const [mine, bare] = [ours.at(-1)?.toFixed(3), theirs.at(-1)?.toFixed(3)];
    say(`round ${round}: kilnwatt ${mine} images/s, diffusers ${bare} images/s`);
  }
  const [kilnwattRate, diffusersRate] = [median(ours), median(theirs)];
  const ratio = kilnwattRate / diffusersRate;
  say(`ratio of medians ${ratio.toFixed(3)} (${images} pictures, batches of ${BATCH})`);
  return {
    ratio: rounded(ratio),
    kilnwatt_images_per_second: rounded(kilnwattRate),
    diffusers_images_per_second: rounded(diffusersRate),
  };
}

/** Images a second from the end of the first batch to the end of the last; loading and warming up are on neither side. */
function rate(ends: readonly number[]): number {
  const [first = Number.NaN] = ends;
  return ((ends.length - 1) * BATCH * 1000) / ((ends.at(-1) ?? Number.NaN) - first);
}

/** When each batch was in the ledger, its pictures on disk. */
function kilnwattEnds(scratch: string, images: number, round: number): readonly number[] {
  const place = newPlace(scratch, `kilnwatt-${round}`, 'bench-sd');
  const prompts = Array.from({ length: images }, (_, seed) => `picture number ${seed} --seed ${seed}`);
  writeFileSync(join(place.work, 'p.txt'), prompts.join('\n'));
  const settings = ['--steps', String(STEPS), '--cfg', '7', '--sampler', 'DPM++ 2M', '--schedule', 'karras'];
  kilnwatt(place, ['run', 'p.txt', ...settings, '--name', 'bench', '--json']);
  const sql = "SELECT max(at) AS at, count(*) AS n FROM entries WHERE kind = 'active' GROUP BY batch_id ORDER BY 1";
  const batches = rowsOf(place, sql);
  const odd = batches.find((row) => row.n !== BATCH);
  if (odd !== undefined) throw new Error(`a batch of ${odd.n} and not of ${BATCH}: the two sides cannot be compared`);
  return batches.map((row) => Number(row.at));
}

function loopEnds(scratch: string, images: number, round: number): readonly number[] {
  const script = join(ROOT, 'scripts/bench_loop.py');
  const words = [script, join(MODELS, 'bench-sd'), join(scratch, `diffusers-${round}`), images, BATCH, STEPS];
  const out = execFileSync(PYTHON, words.map(String), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(out.trim().split('\n').at(-1) ?? '[]') as number[];
}

/** What a picture takes beside the worker's own work: from the first settled batch to the last, less what the worker says. */
function ownMillis(scratch: string, images: number): number {
  const place = newPlace(scratch, 'own', 'tiny-sd');
  writeFileSync(join(place.work, 'p.txt'), Array.from({ length: images }, (_, at) => `picture ${at}`).join('\n'));
  kilnwatt(place, ['run', 'p.txt', '--name', 'own', '--json'], FAKE);
  const sql = `SELECT max(at) AS at, count(*) AS images, max(seconds_batch) AS worker
    FROM entries WHERE kind = 'active' GROUP BY batch_id ORDER BY 1`;
  const [first, ...rest] = rowsOf(place, sql);
  const made = rest.reduce((sum, row) => sum + Number(row.images), 0);
  const worker = rest.reduce((sum, row) => sum + Number(row.worker) * 1000, 0);
  const own = (Number(rest.at(-1)?.at) - Number(first?.at) - worker) / made;
  say(`own time ${own.toFixed(2)} ms a picture (${made} pictures of the fake engine, batches of ${BATCH})`);
  return rounded(own);
}

/** Peak resident memory of each process while 10,000 jobs are queued and the first of them are made. */
async function memoryWithQueue(scratch: string) {
  const place = newPlace(scratch, 'memory', 'tiny-sd');
  const prompts = Array.from({ length: QUEUED }, (_, at) => `a picture of thing number ${at}`);
  writeFileSync(join(place.work, 'p.txt'), prompts.join('\n'));
  const env = { ...FAKE, KW_FAKE: JSON.stringify({ step_seconds: 0.05 }) };
  const child = startKilnwatt(place, ['run', 'p.txt', '--name', 'memory'], env);
  const peaks = new Map<string, number>();
  let seen = 0;
  await eachLine(child, (line) => {
    seen += line.startsWith('done') ? 1 : 0;
    if (seen !== 40 || peaks.size > 0) return;
    for (const [program, pid] of family(child.pid ?? 0)) peaks.set(program, residentMegabytes(pid, 'VmHWM'));
    child.kill('SIGKILL');
  });
  const peakOf = (name: string) => rounded([...peaks].find(([program]) => program.startsWith(name))?.[1] ?? Number.NaN);
  const memory = {
    orchestrator_rss_mb: peakOf('node'),
    valkey_rss_mb: peakOf('valkey-server'),
    python_fake_rss_mb: peakOf('python'),
  };
  say(`peak memory with ${QUEUED} jobs queued, in MB: ${JSON.stringify(memory)}`);
  return memory;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
