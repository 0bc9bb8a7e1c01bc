import { MemoryQueue } from '../../src/queue/memory.ts';
import { queueContract } from '../contracts/queue.ts';
import { ManualClock } from '../support/manual-clock.ts';

queueContract(async () => {
  const clock = new ManualClock();
  return { queue: new MemoryQueue(clock), passTime: () => clock.advance(1_000) };
});
