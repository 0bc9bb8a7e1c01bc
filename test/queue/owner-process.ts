/**
 * A process of its own for valkey.test.ts, to be killed: `owner-process.ts <data folder> <socket> <python>`.
 * Starts the server, adds three jobs, prints the server's pid, and stays.
 */
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { startValkey } from '../../src/queue/valkey.ts';
import { jobsOf } from './samples.ts';

const [dataDir = '', socketPath = '', python = ''] = process.argv.slice(2);
const valkey = await startValkey({ dataDir, socketPath, python, clock: systemClock, log: () => {} });
const queue = new BullmqQueue({ connection: { socketPath }, name: 'owned', clock: systemClock, log: () => {} });
await queue.add(jobsOf(1, 3));
console.log(valkey.pid);
