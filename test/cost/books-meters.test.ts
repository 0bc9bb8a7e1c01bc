import { describe, expect, it } from 'vitest';
import { PowerSamples } from '../../src/cost/power-samples.ts';
import { BEGIN, CardBench, DIED, PID } from './card-bench.ts';
import { nextBatch, resultWith } from './month/batch.ts';

const sumOf = (bench: CardBench) => bench.ledger.rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0);

describe('a counter that stands still', () => {
  it('from the start has nothing of a card that tells no power, and not a measured nothing', async () => {
    const bench = new CardBench();
    bench.run(1_000, { counter: 500, watts: null, utilization: null });
    bench.stop();
    expect(new Set(bench.ledger.rows.map(({ kind, energy_mj: energy }) => `${kind} ${energy}`))).toEqual(
      new Set(['unknown null']),
    );
  });

  it('is none either on a card whose power is always 0', () => {
    const bench = new CardBench();
    bench.run(1_000, { counter: 500, watts: 0 });
    bench.stop();
    expect(bench.ledger.rows.every(({ energy_mj: energy }) => energy === null)).toBe(true);
  });

  it('leaves a batch to the samples of power', () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20, { counter: 500 });
    const id = bench.begin();
    bench.run(40, { counter: 500, watts: 300 });
    const told = bench.window(38, 300, { counter: { from: 500, to: 500 } });
    bench.end(id, { ...told, method: 'derived', meter: 'power_integral', flags: ['implausible'] });
    bench.run(20, { counter: 500 });
    bench.stop();
    expect(bench.told.filter((row) => row.startsWith('active'))).toEqual([
      'active - 38 s 5700 J',
      'active - 38 s 5700 J',
    ]);
  });

  it('after it has counted is found out, and what it had counted stays', async () => {
    const bench = new CardBench();
    bench.run(30);
    bench.run(60, { counter: bench.counter });
    bench.stop();
    expect(Math.abs(sumOf(bench) - 89 * 20_000)).toBeLessThanOrEqual(200_000);
    expect(await bench.faults()).toEqual([]);
  });
});

describe('a counter that was read a little before its stamp', () => {
  it('just after a window is no driver that was loaded anew', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20);
    const id = bench.begin();
    bench.run(40, { watts: 300 });
    bench.end(id, bench.window(38, 300));
    const stale = { watts: 300, utilization: 1, processes: [{ pid: PID, share: 0.9 }] };
    bench.tell(BEGIN + bench.now * 1_000 + 5, { ...stale, counter: bench.counter - 6_000 });
    bench.run(20);
    bench.stop();
    expect(sumOf(bench)).toBe(bench.counter - 1_020_000);
    expect(bench.ledger.rows.flatMap(({ flags }) => flags)).toEqual([]);
    expect(await bench.faults()).toEqual([]);
  });
});

describe('a list of processes', () => {
  it('that ends flags what comes after, and not what it has told of', () => {
    const bench = new CardBench();
    bench.run(11);
    bench.run(20, { processes: null });
    bench.stop();
    const flagged = bench.ledger.rows.map(({ from_at: from, flags }) => [((from ?? 0) - BEGIN) / 1_000, flags]);
    expect(flagged).toEqual([
      [1, []],
      [11, ['sharing_unknown']],
    ]);
  });
});

describe('samples of power', () => {
  const samplesOf = (watts: readonly number[], instant = true) => {
    const samples = new PowerSamples();
    for (const [second, value] of watts.entries()) samples.add({ at: second * 1_000, lag: 0 }, value, instant);
    return samples;
  };

  it('have a bound that holds for every curve in their range', () => {
    const sum = samplesOf([...Array<number>(10).fill(400), 20]).integral(0, 10_000);
    // It may have drawn 20 W but for the moments of the samples.
    expect(sum?.millijoules).toBe(3_810_000);
    expect(3_810_000 - (sum?.bound ?? 0)).toBeLessThanOrEqual(200_000);
  });

  it('that all say 0, or are too far apart, say nothing', () => {
    expect(samplesOf(Array<number>(20).fill(0)).integral(0, 15_000)).toBeNull();
    const far = new PowerSamples();
    far.add({ at: 0, lag: 0 }, 100, true);
    far.add({ at: 6_000, lag: 0 }, 100, true);
    expect(far.integral(0, 6_000)).toBeNull();
    expect(far.integral(6_000, 6_000)).toEqual({ millijoules: 0, bound: 0 });
  });

  it('are smeared only where their span has a mean', () => {
    const samples = samplesOf([100, 100, 100], false);
    for (let second = 10; second < 20; second += 1) samples.add({ at: second * 1_000, lag: 0 }, 100, true);
    expect(samples.integral(0, 2_000)?.bound).toBeGreaterThan(50_000);
    expect(samples.integral(10_000, 19_000)?.bound).toBeLessThan(10);
  });
});

describe('a batch of which no window is told', () => {
  it('is divided from its load by their seconds', async () => {
    const bench = new CardBench();
    bench.run(20);
    const id = bench.begin();
    bench.run(30, { watts: 300 });
    const { overhead, shared } = bench.end(id, DIED, [DIED]);
    expect([overhead[0]?.energy.millijoules, shared.energy.millijoules]).toEqual([3_000_000, 6_000_000]);
    bench.run(20);
    bench.stop();
    expect(await bench.faults()).toEqual([]);
  });
});

describe('use that was told before a batch had ended', () => {
  it('is not that of others after it, on a card that leaves a use of 0 out', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20, { utilization: null });
    const id = bench.begin();
    bench.run(20, { watts: 300, utilization: 1, processes: [{ pid: PID, share: 1 }] });
    // The rows of power come between those of the counter.
    bench.tell(BEGIN + bench.now * 1_000 + 10, { watts: 300, utilization: 1, processes: [{ pid: PID, share: 1 }] });
    bench.end(id, bench.window(18, 300));
    bench.run(20, { utilization: null });
    bench.stop();
    expect(bench.rowsOf('foreign')).toEqual([]);
    expect(await bench.faults()).toEqual([]);
  });
});

describe('a counter that stands still, with power told', () => {
  it('says nothing of a batch whose worker died, nor of the time in which nobody watched', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20, { counter: 500 });
    const id = bench.begin();
    bench.run(20, { watts: 300, counter: 500, utilization: 1, processes: [{ pid: PID, share: 1 }] });
    bench.end(id, null);
    bench.run(20, { counter: 500 });
    bench.now += 600;
    bench.restart();
    bench.run(20, { counter: 500 });
    bench.stop();
    const failed = bench.rowsOf('overhead').reduce((sum, row) => sum + (row.energy_mj ?? 0), 0);
    expect(failed).toBeGreaterThan(5_500_000);
    expect(bench.rowsOf('unknown').map(({ cause, energy_mj: energy }) => [cause, energy])).toContainEqual([
      'off',
      null,
    ]);
    expect(bench.rowsOf('unknown').filter(({ energy_mj: energy }) => energy === 0)).toEqual([]);
    expect(await bench.faults()).toEqual([]);
  });
});

describe('a settlement that waits', () => {
  it('keeps no marks from the disk, so that a kill finds the night that was watched', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20);
    const id = bench.begin();
    bench.run(40, { watts: 300 });
    const { meter } = bench.books.end(resultWith(nextBatch(id, 'cuda:0', 2), [], bench.window(38, 300)), bench.ours);
    bench.ledger.meter({ marks: meter?.marks ?? [], stretches: [] });
    bench.run(3_600);
    expect(bench.marks.at(-1)?.at).toBeGreaterThan(BEGIN + (bench.now - 11) * 1_000);
    bench.ours = [];
    bench.restart();
    bench.run(20);
    bench.stop();
    expect(bench.told).toContain('overhead lost 38 s 11400 J');
    expect(bench.rowsOf('unknown').every((row) => (row.to_at ?? 0) - (row.from_at ?? 0) < 15_000)).toBe(true);
    expect(sumOf(bench)).toBe(bench.counter - 1_020_000);
    expect(await bench.faults()).toEqual([]);
  });
});
