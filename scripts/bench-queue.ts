import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { eachLine, newPlace, residentMegabytes, rounded, startKilnwatt, withScratch } from './bench-place.ts';

const WARM = 5_000;

const { values } = parseArgs({
  options: { jobs: { type: 'string', default: '25000' }, json: { type: 'boolean', default: false } },
});
const jobs = Number(values.jobs);
const say = values.json ? console.error : console.log;

await withScratch(async (scratch) => {
  const place = newPlace(scratch, 'queue', 'tiny-sd');
  writeFileSync(join(place.work, 'p.txt'), Array.from({ length: jobs }, (_, at) => `a thing number ${at}`).join('\n'));
  const began = performance.now();
  const child = startKilnwatt(place, ['run', 'p.txt', '--name', 'queue', '--json'], { KILNWATT_WORKER_ENGINE: 'fake' });
  const samples: { readonly made: number; readonly megabytes: number }[] = [];
  let made = 0;
  let submitted = Number.NaN;
  await eachLine(child, (line) => {
    if (line.startsWith('{"event":"job"') && line.includes('"state":"queued"')) submitted = performance.now() - began;
    if (!line.startsWith('{"event":"image"')) return;
    made += 1;
    if (made > WARM && made % 50 === 0 && made < jobs) {
      samples.push({ made, megabytes: residentMegabytes(child.pid ?? 0, 'VmRSS') });
    }
  });
  if (made !== jobs) throw new Error(`only ${made} of ${jobs} pictures were made`);
  const seconds = (performance.now() - began) / 1000;
  const growth = slope(samples) * 10_000;
  say(
    `${jobs} jobs submitted ${(submitted / 1000).toFixed(2)} s after the command began, worked off after ${seconds.toFixed(0)} s`,
  );
  say(`memory of the orchestrator after the first ${WARM}: ${growth.toFixed(2)} MB per 10,000 jobs`);
  const result = {
    jobs,
    submit_seconds: rounded(submitted / 1000),
    seconds: rounded(seconds),
    growth_mb_per_10000: rounded(growth),
  };
  console.log(JSON.stringify(result));
});

/** Megabytes a job, by least squares: single samples jump with every garbage collection. */
function slope(samples: readonly { readonly made: number; readonly megabytes: number }[]): number {
  const mean = (of: (sample: (typeof samples)[number]) => number) =>
    samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [made, megabytes] = [mean((sample) => sample.made), mean((sample) => sample.megabytes)];
  const both = mean((sample) => (sample.made - made) * (sample.megabytes - megabytes));
  return both / mean((sample) => (sample.made - made) ** 2);
}
