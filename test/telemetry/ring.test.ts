import { describe, expect, it } from 'vitest';
import type { Reading } from '../../src/ports.ts';
import { ReadingRing } from '../../src/telemetry/ring.ts';

function counter(gpu: string, at: number): Reading {
  return { kind: 'counter', at, gpu, millijoules: at, processes: [] };
}

describe('the ring of readings', () => {
  it('keeps those of the last while, each card apart, and the host by itself', () => {
    const ring = new ReadingRing(10_000);
    for (let at = 0; at <= 30_000; at += 1_000) ring.push(counter('GPU-1', at));
    ring.push(counter('GPU-2', 4_000));
    ring.push({ kind: 'wall', at: 5_000, watts: 90, wattHours: null });
    expect(ring.of('GPU-1').map(({ at }) => at)).toEqual(
      [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30].map((s) => s * 1000),
    );
    expect(ring.of('GPU-2')).toHaveLength(1);
    expect(ring.of('host')).toMatchObject([{ watts: 90 }]);
    expect(ring.keys).toEqual(['GPU-1', 'GPU-2', 'host']);
    expect(ring.of('GPU-3')).toEqual([]);
  });

  it('is bounded however fast readings come', () => {
    const ring = new ReadingRing(10_000, 5);
    for (let at = 0; at < 100; at += 1) ring.push(counter('GPU-1', at));
    expect(ring.of('GPU-1').map(({ at }) => at)).toEqual([95, 96, 97, 98, 99]);
  });
});
