import { parseArgs } from 'node:util';
import { writeRecord } from '../test/chaos/record.ts';
import { type SoakResult, soak } from '../test/chaos/soak.ts';
import type { SoakProvider } from '../test/chaos/soak-house.ts';

/** Caches fill and compiled code settles; over fewer jobs single steps of the heap weigh more than any growth. */
const WARM_SHARE = 0.2;
const WARM_LEAST = 10_000;
/** A year of a card that makes one picture in five seconds is 6 million pictures: they may cost 600 MB, not more. */
const MOST_KB_PER_1000 = 100;

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '50000' },
    'worker-jobs': { type: 'string', default: '20000' },
    'warm-up': { type: 'string' },
    'most-kb': { type: 'string', default: String(MOST_KB_PER_1000) },
    record: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const fake = await soaked('fake', Number(values.jobs));
const python = await soaked('python', Number(values['worker-jobs']));
if (values.record !== undefined) {
  writeRecord(values.record, 'fake', fake);
  writeRecord(values.record, 'python', python);
}
console.log(
  values.json ? JSON.stringify({ fake, python }) : `${readable('fake', fake)}\n${readable('python', python)}`,
);
process.exitCode = fake.faults.length + python.faults.length === 0 ? 0 : 1;

function soaked(provider: SoakProvider, jobs: number): Promise<SoakResult> {
  const warmUp = Number(values['warm-up'] ?? Math.max(WARM_LEAST, jobs * WARM_SHARE));
  return soak({
    jobs,
    provider,
    warmUp,
    mostKb: Number(values['most-kb']),
    say: (sentence) => console.error(sentence),
  });
}

function readable(name: string, { jobs, seconds, failed, cancelled, kb_per_1000_jobs, open, faults }: SoakResult) {
  const growth = Object.entries(kb_per_1000_jobs).flatMap(([part, kb]) => (kb === null ? [] : [`${part} ${kb}`]));
  const left = Object.entries(open).map(([what, { start, end }]) => `${what} ${start} -> ${end}`);
  return [
    `${name}: ${jobs} jobs in ${seconds} s, ${failed} of them failed as planted, ${cancelled} cancelled`,
    `  kB per 1,000 jobs: ${growth.join(', ')}`,
    `  open: ${left.join(', ').replaceAll('_', ' ')}`,
    ...faults.map((sentence) => `  FAULT ${sentence}`),
  ].join('\n');
}
