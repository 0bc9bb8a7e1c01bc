import { systemClock } from '../../src/process/clock.ts';
import { MemoryDesk } from '../../src/queue/desk-memory.ts';
import { deskContract } from '../contracts/desk.ts';

deskContract(async (stopLimit) => {
  const desk = new MemoryDesk(systemClock, { stopLimit });
  return { asker: desk, server: desk };
});
