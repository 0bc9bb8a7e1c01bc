import { parseArgs } from 'node:util';
import { type SoakResult, soak } from '../test/chaos/soak.ts';

const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '50000' },
    'worker-jobs': { type: 'string', default: '20000' },
    json: { type: 'boolean', default: false },
  },
});
const say = (sentence: string) => console.error(sentence);

const fake = await soak({ jobs: Number(values.jobs), provider: 'fake', say });
const python = await soak({ jobs: Number(values['worker-jobs']), provider: 'python', say });
console.log(
  values.json ? JSON.stringify({ fake, python }) : `${readable('fake', fake)}\n${readable('python', python)}`,
);
process.exitCode = fake.faults.length + python.faults.length === 0 ? 0 : 1;

function readable(name: string, { jobs, seconds, failed, kb_per_1000_jobs, descriptors, handles, faults }: SoakResult) {
  const growth = Object.entries(kb_per_1000_jobs).flatMap(([part, kb]) => (kb === null ? [] : [`${part} ${kb}`]));
  return [
    `${name}: ${jobs} jobs in ${seconds} s, ${failed} of them failed as planted`,
    `  kB per 1,000 jobs: ${growth.join(', ')}`,
    `  descriptors ${descriptors.start} -> ${descriptors.end}, handles ${handles.start} -> ${handles.end}`,
    ...faults.map((sentence) => `  FAULT ${sentence}`),
  ].join('\n');
}
