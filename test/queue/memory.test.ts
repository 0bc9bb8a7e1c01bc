import { MemoryQueue } from '../../src/queue/memory.ts';
import { queueContract } from '../contracts/queue.ts';

queueContract(async () => new MemoryQueue());
