import type { Job } from '../../src/ports.ts';
import { request } from '../job/samples.ts';

export const RUN = '01993f2e-7c1a-7000-8000-000000000001';
export const OTHER_RUN = '01993f2e-7c1a-7000-8000-000000000002';

export function jobOf(index: number, runId = RUN): Job {
  return {
    id: `${runId}-${String(index).padStart(6, '0')}`,
    runId,
    request: { ...request, seed: index },
    modelPath: '/models/tiny-sd',
    family: 'sd',
    anatomy: null,
    loraPaths: [],
    loraBytes: 0,
    preset: 'auto',
    target: `/out/${runId}/${index}.png`,
    format: 'png',
    sidecar: null,
    priority: 'bulk',
  };
}

export function interactive(job: Job): Job {
  return { ...job, priority: 'interactive' };
}

/** Jobs `first` to `last`. */
export function jobsOf(first: number, last: number, runId = RUN): Job[] {
  return Array.from({ length: last - first + 1 }, (_, at) => jobOf(first + at, runId));
}

export function idsOf(jobs: readonly Job[]): string[] {
  return jobs.map((job) => job.id);
}
