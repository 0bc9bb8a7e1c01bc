import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  eachLine,
  missedLimits,
  newPlace,
  residentMegabytes,
  rounded,
  startKilnwatt,
  withScratch,
} from './bench-place.ts';

const SUBMITTED = 10_000;
/** Over fewer jobs after these, single steps of the heap weigh more than any growth. */
const WARM = 5_000;
const LIMITS = { least: {}, most: { submit_seconds: 5, growth_mb_per_10000: 1 } };
const FAKE = { KILNWATT_WORKER_ENGINE: 'fake' };

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '40000' }, json: { type: 'boolean', default: false } },
});
const say = values.json ? console.error : console.log;

await withScratch(async (scratch) => {
  const submitting = await submitSeconds(scratch, SUBMITTED);
  const { jobs, seconds, growth } = await workedOff(scratch, Number(values.jobs));
  const figures = { submit_seconds: rounded(submitting), growth_mb_per_10000: rounded(growth) };
  const missed = missedLimits(figures, LIMITS);
  for (const sentence of missed) say(sentence);
  console.log(JSON.stringify({ jobs, seconds: rounded(seconds), ...figures, holds: missed.length === 0 }));
  process.exitCode = missed.length === 0 ? 0 : 1;
});

/** From the start of the command until all its jobs are in store and queue. */
async function submitSeconds(scratch: string, jobs: number): Promise<number> {
  const began = performance.now();
  const child = startRun(scratch, 'submit', jobs);
  let submitted = Number.NaN;
  await eachLine(child, (line) => {
    if (!line.startsWith('{"event":"run"')) return;
    submitted = (performance.now() - began) / 1000;
    child.kill('SIGKILL');
  });
  say(`${jobs} jobs submitted ${submitted.toFixed(2)} s after the command began`);
  return submitted;
}

async function workedOff(scratch: string, jobs: number) {
  const began = performance.now();
  const child = startRun(scratch, 'queue', jobs);
  const samples: { readonly made: number; readonly megabytes: number }[] = [];
  let made = 0;
  await eachLine(child, (line) => {
    if (!line.startsWith('{"event":"image"')) return;
    made += 1;
    if (made > WARM && made % 50 === 0 && made < jobs) {
      samples.push({ made, megabytes: residentMegabytes(child.pid ?? 0, 'VmRSS') });
    }
  });
  if (made !== jobs) throw new Error(`only ${made} of ${jobs} pictures were made`);
  const seconds = (performance.now() - began) / 1000;
  const growth = slope(samples) * 10_000;
  say(`${jobs} jobs worked off after ${seconds.toFixed(0)} s`);
  say(`memory of the orchestrator after the first ${WARM}: ${growth.toFixed(2)} MB per 10,000 jobs`);
  return { jobs, seconds, growth };
}

function startRun(scratch: string, name: string, jobs: number) {
  const place = newPlace(scratch, name, 'tiny-sd');
  writeFileSync(join(place.work, 'p.txt'), Array.from({ length: jobs }, (_, at) => `a thing number ${at}`).join('\n'));
  return startKilnwatt(place, ['run', 'p.txt', '--name', name, '--json'], FAKE);
}

/** Megabytes a job, by least squares: single samples jump with every garbage collection. */
function slope(samples: readonly { readonly made: number; readonly megabytes: number }[]): number {
  const mean = (of: (sample: (typeof samples)[number]) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [made, megabytes] = [mean((sample) => sample.made), mean((sample) => sample.megabytes)];
  const both = mean((sample) => (sample.made - made) * (sample.megabytes - megabytes));
  return both / mean((sample) => (sample.made - made) ** 2);
}
