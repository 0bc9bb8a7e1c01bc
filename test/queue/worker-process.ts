/**
 * A process of its own for bullmq.test.ts, to be killed: `worker-process.ts <socket> <queue> <window>`.
 * Finishes each job whose index is divisible by three, says so, and holds all others for ever.
 */
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';

const [socketPath = '', name = '', window = ''] = process.argv.slice(2);
const queue = new BullmqQueue({ connection: { socketPath }, name, clock: systemClock, log: console.error });

queue.work(
  async (job) => {
    const done = job.request.seed % 3 === 0;
    console.log(`${done ? 'done' : 'holds'} ${job.id}`);
    if (!done) await new Promise(() => {});
  },
  { window: Number(window) },
);
