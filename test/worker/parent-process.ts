/**
 * A parent that is to be killed: keeps a worker that hangs in the phase `argv[2]`, `argv[3]` the lock of the
 * interpreter, and gives it a batch. Prints its pid, what it logs, and `idle` when the batch is over.
 */
import { startChild } from '../../src/process/child.ts';
import { systemClock } from '../../src/process/clock.ts';
import { workerLimits } from '../../src/worker/limits.ts';
import { Supervisor } from '../../src/worker/supervisor.ts';
import { hangingWorker } from './hanging-worker.ts';
import { batchOf, ENGINE } from './supervised.ts';

const [, , phase = '', lock = ''] = process.argv;
const supervisor = new Supervisor({
  device: 'cpu',
  address: 'cpu',
  worker: hangingWorker(phase, lock === 'with' ? 'with' : 'without'),
  launch: 'launch',
  clock: systemClock,
  limits: workerLimits('cpu'),
  rng: Math.random,
  startChild: (spec) => {
    const child = startChild(spec);
    console.log(`pid ${child.pid}`);
    return child;
  },
  onLog: (line) => console.log(line),
});
setInterval(() => {}, 1_000);
await supervisor.ensureLoaded(ENGINE);
await supervisor.generate(batchOf('batch', ['a']));
console.log('idle');
