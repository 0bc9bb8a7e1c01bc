import { describe, expect, it } from 'vitest';
import { withoutWarmUp } from '../../src/cost/warm-up.ts';
import type { BatchResult, StepFigures } from '../../src/ports.ts';
import { CardBench, PID } from './card-bench.ts';
import { nextBatch, resultWith } from './month/batch.ts';

/** 20 s in all, of which the first step took 5.5 s and the others half a second. */
const STEPS: StepFigures = { count: 20, first: 5.5, median: 0.5, slowest: 5.5 };
const WORK = { teraflops: null, calls: 20, mfu: null, graphs: 2, cachedPrompts: 0 };

function resultOf(bench: CardBench, shared: Partial<BatchResult['shared']>): BatchResult {
  const result = resultWith(nextBatch('b', 'cuda:0', 2), [], bench.window(20, 300));
  return { ...result, shared: { ...result.shared, ...shared } };
}

function benchAfter(seconds: number): CardBench {
  const bench = new CardBench();
  bench.ours = [PID];
  bench.run(seconds, { watts: 300 });
  return bench;
}

describe('what a batch takes to get going', () => {
  it('is taken out of its pictures by its time, to the millijoule', () => {
    const { result, piece } = withoutWarmUp(resultOf(benchAfter(30), { steps: STEPS, work: WORK }), 'b');
    // 5 s of 20 s at 300 W.
    expect(piece).toMatchObject({
      kind: 'overhead',
      cause: 'compile',
      batchId: 'b',
      burnt: { millijoules: 1_500_000 },
    });
    expect(result.shared.energy).toMatchObject({ millijoules: 4_500_000, method: 'derived' });
  });

  it('is a warm-up where nothing was compiled', () => {
    const { piece } = withoutWarmUp(resultOf(benchAfter(30), { steps: STEPS, work: { ...WORK, graphs: 0 } }), 'b');
    expect(piece?.cause).toBe('warmup');
  });

  it.each([
    ['a first step like the others', { ...STEPS, first: 0.9 }],
    ['too few steps to tell which is usual', { ...STEPS, count: 2 }],
    ['steps that nobody timed', null],
  ])('is nothing with %s', (_, steps) => {
    const result = resultOf(benchAfter(30), { steps, work: WORK });
    expect(withoutWarmUp(result, 'b')).toEqual({ result, piece: null });
  });

  it('is nothing where the energy is not known', () => {
    const bench = benchAfter(30);
    const energy = { ...bench.window(20, 300, { foreign: null }), method: 'unknown' } as const;
    expect(withoutWarmUp(resultOf(bench, { steps: STEPS, work: WORK, energy }), 'b').piece).toBeNull();
  });

  it('is overhead of its batch in the ledger, once, and all adds up to the counter', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(30);
    const id = bench.begin();
    bench.run(20, { watts: 300 });
    bench.end(id, bench.window(20, 300), [], { steps: STEPS, work: WORK });
    bench.run(60);
    bench.stop();
    expect(bench.told).toContain('overhead compile 20 s 1500 J');
    const pictures = bench.rowsOf('active').map(({ energy_mj: energy }) => energy);
    expect(pictures).toEqual([2_250_000, 2_250_000]);
    expect(await bench.faults()).toEqual([]);
  });

  it('is lost with its batch, and not booked beside that, where the ledger never took the batch', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(30);
    const id = bench.begin();
    bench.run(20, { watts: 300 });
    bench.endUnsettled(id, bench.window(20, 300), { steps: STEPS, work: WORK });
    bench.run(60);
    bench.stop();
    expect(bench.told).toContain('overhead lost 20 s 6000 J');
    expect(bench.told.join()).not.toContain('compile');
    expect(await bench.faults()).toEqual([]);
  });
});
