import { describe } from 'vitest';
import { MemoryStore } from '../../src/store/memory.ts';
import { storeContract } from '../contracts/store.ts';

describe('the store in memory', () => {
  storeContract(async (clock) => new MemoryStore(clock));
});
