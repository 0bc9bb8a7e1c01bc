import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { SoakResult } from './soak.ts';

const PROGRAM = resolve(import.meta.dirname, '../../scripts/soak.ts');
/** Over so few jobs the heap still settles: this is for what grows with every job, not for what creeps. */
const SHORT = ['--jobs', '1500', '--worker-jobs', '1500', '--warm-up', '500', '--most-kb', '3000'];

describe('a short soak', () => {
  it('leaves nothing open behind thousands of mixed jobs, deaths and cancels, and no memory that grows with each', async () => {
    const words = ['--expose-gc', '--max-semi-space-size=2', PROGRAM, ...SHORT, '--json'];
    // It ends with 1 where a bound does not hold, and says which.
    const { stdout } = await promisify(execFile)(process.execPath, words).catch((error: { stdout: string }) => error);
    const { fake, python } = JSON.parse(stdout) as Record<'fake' | 'python', SoakResult>;
    expect([...fake.faults, ...python.faults]).toEqual([]);
    expect(fake.failed).toBe(18);
    expect(python.failed).toBe(1);
    expect(fake.cancelled + python.cancelled).toBeGreaterThan(20);
  }, 120_000);
});
