import { describe, expect, it } from 'vitest';
import { wreakHavocOnBareBullmq } from './bare.ts';
import { wreakHavoc } from './harness.ts';

const LIMIT_MS = 150_000;

describe('kilnwatt under a seeded schedule of deaths', () => {
  it(
    'loses nothing, makes nothing twice, and fails the poisoned job alone',
    async () => {
      const ask = { seed: 1, jobs: 120, kills: 6, redisKills: 1, hangs: 1, controls: 1, poison: 1 } as const;
      const result = await wreakHavoc({ ...ask, workers: 1, engine: 'fake', driver: 'serve', say: () => {} });
      expect(result.faults).toEqual([]);
      expect(result).toMatchObject({ acknowledged: 120, completed: 119, failed_with_reason: 1 });
      expect(result.kills).toMatchObject({ worker: 3, orchestrator: 3, redis: 1, hang: 1 });
    },
    LIMIT_MS,
  );
});

describe('BullMQ alone under the same schedule', () => {
  it(
    'fails jobs that nothing is wrong with: the account can tell',
    async () => {
      const ask = { seed: 1, jobs: 120, kills: 6, redisKills: 1, hangs: 0, poison: 1 };
      const result = await wreakHavocOnBareBullmq({ ...ask, trueDefaults: false, say: () => {} });
      expect(result.acknowledged).toBe(result.completed + result.failed_with_reason + result.missing);
      expect(result.failed_neighbours).toBeGreaterThan(0);
      expect(result.faults.join('\n')).toContain('failed_neighbours: ');
    },
    LIMIT_MS,
  );
});
