import { describe, expect, it } from 'vitest';
import { CountingClock } from './counting-clock.ts';
import { type Ends, growthOf, type Sample, soakFaults, type Thing } from './soak-figures.ts';

const FLAT = { orchestrator: 0, heap: 0, valkey: 0, worker: 0 };
const SAME: Ends = { start: 7, end: 7 };
const OPEN: Readonly<Record<Thing, Ends>> = {
  descriptors: SAME,
  valkey_descriptors: SAME,
  worker_descriptors: SAME,
  handles: SAME,
  timers: SAME,
};

describe('what a soak says', () => {
  it('is the slope over all samples, and of the worker over those of its last process, once that is warm', () => {
    const samples = Array.from({ length: 20 }, (_, at) =>
      sample(at, at < 12 ? { worker: at * 900, workerPid: 1 } : {}),
    );
    expect(growthOf(samples)).toEqual({ orchestrator: 10, heap: 20, valkey: 0, worker: 40 });
  });

  it('is a fault where memory grows faster than it may, of those that are judged there', () => {
    const growth = { ...FLAT, orchestrator: 101, worker: 101 };
    expect(soakFaults('fake', growth, OPEN, 100)).toEqual(['orchestrator grows by 101 kB per 1,000 jobs, of 100']);
    expect(soakFaults('python', growth, OPEN, 100)).toEqual(['worker grows by 101 kB per 1,000 jobs, of 100']);
  });

  it('is a fault where something stays open, timers that keep nothing alive included', () => {
    const open = { ...OPEN, worker_descriptors: { start: 7, end: 10 }, timers: { start: 3, end: 9 } };
    expect(soakFaults('fake', FLAT, open, 100)).toEqual([
      '10 worker_descriptors are open, and 7 were',
      '9 timers are open, and 3 were',
    ]);
  });
});

describe('the counting clock', () => {
  it('knows the timers that are wound up, and forgets those that have rung or were cancelled, once', async () => {
    const clock = new CountingClock();
    const cancel = clock.after(60_000, () => {});
    const rung = new Promise<void>((resolve) => clock.after(1, resolve));
    expect(clock.pending).toBe(2);
    const keeper = setTimeout(() => {}, 60_000);
    await rung;
    clearTimeout(keeper);
    cancel();
    cancel();
    expect(clock.pending).toBe(0);
  });
});

function sample(at: number, other: Partial<Sample>): Sample {
  const jobs = at * 1_000;
  return { jobs, workerPid: 2, orchestrator: 5 + at * 10, heap: at * 20, valkey: 3, worker: at * 40, ...other };
}
