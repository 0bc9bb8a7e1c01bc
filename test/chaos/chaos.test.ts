import { describe, expect, it } from 'vitest';
import { wreakHavocOnBareBullmq } from './bare.ts';
import { wreakHavoc } from './harness.ts';

const LIMIT_MS = 240_000;
const ASK = { engine: 'fake', driver: 'serve', say: () => {} } as const;

describe('kilnwatt under a seeded schedule of deaths', () => {
  it(
    'loses nothing, makes nothing twice, fails the poisoned job alone, heeds its user, and is back in time',
    async () => {
      const strikes = { kills: 6, redisKills: 1, hangs: 1, controls: 1, poison: 1 };
      const result = await wreakHavoc({ ...ASK, ...strikes, seed: 1, jobs: 100, workers: 1 });
      // A late recovery is a fault too.
      expect(result.faults).toEqual([]);
      expect(result).toMatchObject({ acknowledged: 101, failed_with_reason: 1, missing: 0 });
      expect(result.completed + result.cancelled).toBe(100);
      expect(result.kills).toMatchObject({ worker: 3, orchestrator: 3, redis: 1, hang: 1 });
      expect(result.controls).toEqual({ restart: 1, pause: 1, pause_now: 1, cancel: 1, interactive: 1 });
      expect(result.overtaking?.overtaken).toBeGreaterThan(10);
      expect(result.recovery_s.orchestrator_to_dispatchable.n).toBeGreaterThan(0);
    },
    LIMIT_MS,
  );

  it(
    'does so with two workers, from the first start on',
    async () => {
      const strikes = { kills: 6, redisKills: 2, hangs: 0, controls: 0, poison: 1 };
      const result = await wreakHavoc({ ...ASK, ...strikes, seed: 2, jobs: 60, workers: 2 });
      expect(result.faults).toEqual([]);
      expect(result).toMatchObject({ acknowledged: 60, completed: 59, failed_with_reason: 1 });
      expect(result.kills).toMatchObject({ worker: 3, orchestrator: 3, redis: 2 });
    },
    LIMIT_MS,
  );
});

describe('BullMQ alone under the same schedule', () => {
  it(
    'fails jobs that nothing is wrong with: the account can tell',
    async () => {
      const ask = { seed: 1, jobs: 120, kills: 6, redisKills: 1, hangs: 0, poison: 1, trueDefaults: false };
      const result = await wreakHavocOnBareBullmq({ ...ask, say: () => {} });
      expect(result.acknowledged).toBe(result.completed + result.failed_with_reason + result.missing);
      expect(result.failed_neighbours).toBeGreaterThan(0);
      expect(result.faults.join('\n')).toContain('failed_neighbours: ');
      expect(result.bullmq).toMatchObject({ lockDuration: 4_000, stalledInterval: 1_500, maxStalledCount: 1 });
    },
    LIMIT_MS,
  );
});
