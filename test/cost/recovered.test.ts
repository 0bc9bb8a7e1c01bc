import { describe, expect, it } from 'vitest';
import { CardBench, GPU, PID } from './card-bench.ts';
import { nextBatch, resultWith } from './month/batch.ts';

describe('a process that was killed', () => {
  it('leaves what it was doing to the next one: rest as rest, a batch as lost, and nobody watched since', async () => {
    const bench = new CardBench();
    bench.run(25);
    bench.begin();
    bench.run(25, { watts: 300 });
    bench.now += 100;
    bench.counter += 2_000_000;
    bench.restart();
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 24 s 480 J',
      'overhead lost 20 s 6000 J',
      'unknown off 106 s 3520 J',
      'idle no_context 19 s 380 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('leaves what was lost to be booked once, although the next one ends before it has read anything', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.begin();
    bench.run(40, { watts: 300 });
    bench.restart();
    bench.stop();
    bench.now += 60;
    bench.counter += 60 * 20_000;
    bench.restart();
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 19 s 380 J',
      'overhead lost 30 s 9000 J',
      'unknown off 71 s 4220 J',
      'idle no_context 19 s 380 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('leaves windows that were told and not settled, whose counter stood still, to be booked by their samples', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20, { counter: 500 });
    const id = bench.begin();
    bench.run(40, { counter: 500, watts: 300 });
    const told = bench.window(38, 300, { counter: { from: 500, to: 500 } });
    const energy = { ...told, method: 'derived', meter: 'power_integral', flags: ['implausible'] } as const;
    const { meter } = bench.books.end(resultWith(nextBatch(id, 'cuda:0', 2), [], energy), bench.ours);
    bench.ledger.meter({ marks: meter?.marks ?? [], stretches: [] });
    bench.ours = [];
    bench.restart();
    bench.stop();
    expect(bench.told.filter((row) => row.includes('lost'))).toEqual(['overhead lost 38 s 11400 J']);
  });

  it('leaves a card that is marked once for what was booked and not again', async () => {
    const bench = new CardBench();
    bench.run(25);
    bench.stop();
    bench.restart();
    bench.restart();
    bench.run(15);
    bench.stop();
    expect(bench.told).toEqual(['idle no_context 24 s 480 J', 'unknown off 1 s 20 J', 'idle no_context 14 s 280 J']);
    expect(bench.marks.every(({ gpu }) => gpu === GPU)).toBe(true);
  });
});
