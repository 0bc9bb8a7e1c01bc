import type { Delivery, Job, JobHandler } from '../../src/ports.ts';
import { request } from '../job/samples.ts';

export const RUN = '01993f2e-7c1a-7000-8000-000000000001';
export const OTHER_RUN = '01993f2e-7c1a-7000-8000-000000000002';

export function jobOf(index: number, runId = RUN): Job {
  return {
    id: `${runId}-${String(index).padStart(6, '0')}`,
    runId,
    request: { ...request, seed: index },
    modelPath: '/models/tiny-sd',
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

interface Call extends Delivery {
  readonly job: Job;
  resolve(): void;
  reject(error: unknown): void;
}

/** A handler whose calls a test settles one by one. */
export class Hands {
  readonly calls: Call[] = [];

  readonly handler: JobHandler = (job, delivery) =>
    new Promise((resolve, reject) => {
      this.calls.push({ job, ...delivery, resolve, reject });
    });

  /** Ids in the order in which their jobs came. */
  get seen(): string[] {
    return this.calls.map(({ job }) => job.id);
  }

  call(at: number): Call {
    const call = this.calls[at];
    if (call === undefined) throw new Error(`the handler was called ${this.calls.length} times, not ${at + 1}`);
    return call;
  }
}
