import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqDesk } from '../../src/queue/desk.ts';
import { deskContract } from '../contracts/desk.ts';
import { TestServer } from './server.ts';

const server = new TestServer();
let desks = 0;

beforeAll(() => server.start());
afterAll(() => server.close());

deskContract(async (stopLimitMs) => {
  desks += 1;
  const open = () =>
    new BullmqDesk({
      connection: { socketPath: server.socketPath },
      name: `contract-${desks}`,
      clock: systemClock,
      log: () => {},
      stopLimitMs,
    });
  return { asker: open(), server: open() };
});
