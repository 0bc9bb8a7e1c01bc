import { describe, expect, it } from 'vitest';
import { BookTime } from '../../src/cost/book-time.ts';
import { BEGIN, CardBench, PID } from './card-bench.ts';

const sumOf = (bench: CardBench) => bench.ledger.rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0);

/** By the counter of the bench; the first second is before the first reading. */
const burnt = (bench: CardBench, watts: number) => bench.counter - 1_000_000 - watts * 1_000;

describe('a clock that is set back', () => {
  it('half an hour while the card rests takes no energy out of the books', async () => {
    const bench = new CardBench();
    bench.run(60, { watts: 100 });
    bench.now -= 1_800;
    bench.run(1_920, { watts: 100 });
    bench.stop();
    expect(sumOf(bench)).toBe(burnt(bench, 100));
    expect(bench.told.every((row) => row.startsWith('idle'))).toBe(true);
    // The books have waited for it.
    expect(bench.marks.at(-1)?.at).toBe(BEGIN + bench.now * 1_000);
    expect(await bench.faults()).toEqual([]);
  });

  it('leaves the samples of power right, where there is no counter', async () => {
    const bench = new CardBench();
    bench.run(60, { watts: 100, counter: null });
    bench.now -= 1_800;
    bench.run(1_920, { watts: 100, counter: null });
    bench.stop();
    expect(Math.abs(sumOf(bench) - burnt(bench, 100))).toBeLessThan(3_000_000);
    expect(await bench.faults()).toEqual([]);
  });

  it('in the middle of a batch leaves it what its window took', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(60);
    const id = bench.begin();
    bench.run(10, { watts: 300 });
    bench.now -= 600;
    bench.run(10, { watts: 300 });
    const to = BEGIN + bench.now * 1_000;
    const energy = bench.window(20, 300, { from: to + 600_000 - 20_000, to });
    bench.run(2);
    bench.end(id, energy);
    bench.run(60);
    bench.stop();
    expect(bench.told.filter((row) => row.startsWith('active'))).toEqual([
      'active - 20 s 3000 J',
      'active - 20 s 3000 J',
    ]);
    expect(sumOf(bench)).toBe(burnt(bench, 20));
    expect(await bench.faults()).toEqual([]);
  });

  it('before a batch leaves it its own time and energy while the books are still ahead', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(60);
    bench.now -= 600;
    bench.run(30);
    for (let batches = 0; batches < 3; batches += 1) {
      const id = bench.begin();
      bench.run(20, { watts: 300 });
      bench.end(id, bench.window(20, 300));
      bench.run(5);
    }
    bench.run(700);
    bench.stop();
    expect(bench.told.filter((row) => row.startsWith('active'))).toEqual(Array(6).fill('active - 20 s 3000 J'));
    expect(sumOf(bench)).toBe(burnt(bench, 20));
    expect(await bench.faults()).toEqual([]);
  });

  it('before a start books what nobody watched as unknown, in no negative time', async () => {
    const bench = new CardBench();
    bench.run(60);
    bench.stop();
    bench.now -= 1_800;
    bench.counter += 5_000_000;
    bench.restart();
    bench.run(2_000);
    bench.stop();
    bench.restart();
    bench.run(5);
    bench.stop();
    expect(bench.ledger.rows.every((row) => (row.to_at ?? 0) >= (row.from_at ?? 0))).toBe(true);
    expect(bench.told).toContain('unknown off 0.001 s 5020 J');
    expect(sumOf(bench)).toBe(burnt(bench, 20));
    expect(await bench.faults()).toEqual([]);
  });
});

describe('the time of the books', () => {
  it('is that of the wall, until that falls', () => {
    const time = new BookTime(null);
    expect(time.take('counter', 5_000, 0, true)).toEqual({ at: 5_000, lag: 0 });
    expect(time.take('counter', 6_000, 1_000, true)).toEqual({ at: 6_000, lag: 0 });
    expect(time.take('counter', 2_000, 2_000, false)).toEqual({ at: 7_000, lag: 0 });
    expect(time.of(1_999)).toBe(6_999);
    expect(time.of(5_999)).toBe(5_999);
    expect(time.take('counter', 3_000, 3_000, true)).toEqual({ at: 7_001, lag: 999 });
  });

  it('has caught up once as much time has passed as the clock was set back by', () => {
    const time = new BookTime(null);
    for (let second = 0; second < 30; second += 1) {
      const wall = (second < 10 ? second : second - 10) * 1_000;
      time.take('counter', wall, second * 1_000, true);
      time.take('power', wall + 20, second * 1_000 + 20, true);
    }
    const { at, lag } = time.take('counter', 20_000, 30_000, true);
    expect(at).toBe(20_000);
    expect(Math.abs(lag - 10_000)).toBeLessThan(50);
  });
});
