import { presetNamed } from '../../src/preset/catalogue.ts';
import type { EngineSpec } from '../../src/worker/engine.ts';
import type { SupervisorState } from '../../src/worker/lifecycle.ts';
import { workerLimits } from '../../src/worker/limits.ts';
import type { Generate } from '../../src/worker/messages.ts';
import { Supervisor, type SupervisorOptions } from '../../src/worker/supervisor.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { FakeWorker, type Heard, obliging } from './fake-worker.ts';

export const ENGINE: EngineSpec = {
  id: 'e1',
  modelHash: 'sha256:1',
  modelPath: '/models/one',
  family: 'sd',
  preset: presetNamed('plain'),
};

/** A supervisor whose workers live in this process; the functions say what they do. */
export function superviseFakes(
  options: Partial<SupervisorOptions> = {},
  onOrder: (order: Heard, worker: FakeWorker) => void = obliging,
  onStart: (worker: FakeWorker) => void = (worker) => worker.hello(),
) {
  const clock = new ManualClock();
  const log: string[] = [];
  const states: SupervisorState[] = [];
  const workers: FakeWorker[] = [];
  const supervisor = new Supervisor({
    device: 'cpu',
    address: 'cpu',
    worker: { command: 'python', args: [], env: { HF_TOKEN: 'hf_secret' } },
    launch: 'launch',
    clock,
    limits: workerLimits('cpu'),
    rng: () => 0,
    startChild: (spec) => {
      const worker = new FakeWorker(spec, { onOrder });
      workers.push(worker);
      queueMicrotask(() => onStart(worker));
      return worker.child;
    },
    onLog: (line) => log.push(line),
    onState: (state) => states.push(state),
    ...options,
  });
  const latest = (): FakeWorker => {
    const worker = workers.at(-1);
    if (worker === undefined) throw new Error('no worker was started yet');
    return worker;
  };
  return { supervisor, clock, log, states, workers, latest };
}

export function batchOf(id: string, jobs: readonly string[]): Omit<Generate, 'type' | 'engine'> {
  const params = { width: 8, height: 8, steps: 4, guidance: 7, distilled_guidance: null, clip_skip: 0 } as const;
  return {
    batch: id,
    params: { ...params, scheduler: 'euler', schedule: 'normal', loras: [], format: 'png' },
    items: jobs.map((job, seed) => ({ job, prompt: 'a fox', negative_prompt: '', seed, out: `/out/${job}` })),
  };
}

export function made(job: string) {
  return { kind: 'made', job, temporary: `/out/${job}`, width: 8, height: 8 };
}
