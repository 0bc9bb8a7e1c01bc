import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const BENCH = fileURLToPath(new URL('../../scripts/bench-ledger.ts', import.meta.url));

describe('scripts/bench-ledger', () => {
  it('fills a month with pictures, sums every one of them, and keeps within the memory that is promised', () => {
    const bench = spawnSync(process.execPath, [BENCH, '--entries', '20000', '--json'], { encoding: 'utf8' });
    // What it promises of time is for a machine that has nothing else to do, and not asked here.
    expect([0, 1]).toContain(bench.status);
    const told = JSON.parse(bench.stdout);
    console.log(bench.stdout.trim());
    expect(told).toMatchObject({ entries: 20_000, holds: bench.status === 0 });
    expect(told.month_megabytes).toBeLessThan(200);
    expect(told.month_seconds).toBeGreaterThan(0);
    expect(told.loop_delay_p99_ms).toBeGreaterThan(0);
  });
});
