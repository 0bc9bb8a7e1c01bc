import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqQueue } from '../../src/queue/bullmq.ts';
import { queueContract } from '../contracts/queue.ts';
import { TestServer } from './server.ts';

const server = new TestServer();
let queues = 0;

beforeAll(() => server.start());
afterAll(() => server.close());

queueContract(async () => {
  queues += 1;
  return new BullmqQueue({
    connection: { socketPath: server.socketPath },
    name: `contract-${queues}`,
    clock: systemClock,
    log: () => {},
  });
});
