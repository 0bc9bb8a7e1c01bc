import { describe, expect, it } from 'vitest';
import { BEGIN, CardBench, DIED, PID } from './card-bench.ts';
import { nextBatch, resultWith } from './month/batch.ts';

describe('a card at rest', () => {
  it('is idle, with a mark at least every ten seconds and a row at each quarter of an hour', async () => {
    const bench = new CardBench();
    bench.run(30 * 60);
    bench.stop();
    const gaps = bench.marks.slice(1).map(({ at }, place) => at - (bench.marks[place]?.at ?? 0));
    expect(Math.max(...gaps)).toBe(10_000);
    expect(bench.told).toEqual([
      // Before the quarter, so that it belongs to the one that it was burnt in.
      'idle no_context 598 s 11960 J',
      'idle no_context 900 s 18000 J',
      'idle no_context 301 s 6020 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('is another kind of idle from the moment on that a worker has it', async () => {
    const bench = new CardBench();
    bench.run(60);
    bench.ours = [PID];
    bench.run(60, { watts: 40 });
    bench.stop();
    expect(bench.told).toEqual(['idle no_context 59 s 1180 J', 'idle resident 60 s 2400 J']);
  });

  it('costs what it burns', () => {
    const bench = new CardBench();
    bench.run(1 + 360);
    bench.stop();
    expect(bench.ledger.rows[0]).toMatchObject({ energy_mj: 7_200_000, total_cost: 0.0006, cost_method: 'measured' });
  });

  it('is foreign while another program computes, with the whole of its draw', async () => {
    const bench = new CardBench();
    bench.run(30);
    bench.run(60, { watts: 200, utilization: 1, processes: [{ pid: 7, share: 0.9 }] });
    bench.run(30);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 29 s 580 J',
      'foreign process 60 s 12000 J',
      'idle no_context 30 s 600 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('is foreign by its use, where whoever uses it is in no list, but not for the flicker of a desktop', async () => {
    const bench = new CardBench();
    bench.run(30);
    bench.run(1, { watts: 60, utilization: 0.3 });
    bench.run(30);
    bench.run(20, { watts: 100, utilization: 0.5 });
    bench.run(10);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 60 s 1240 J',
      'foreign load 20 s 2000 J',
      'idle no_context 10 s 200 J',
    ]);
  });

  it('is foreign by its draw, where its use is not told', () => {
    const bench = new CardBench();
    bench.run(30, { utilization: null });
    bench.run(20, { watts: 100, utilization: null });
    bench.stop();
    expect(bench.told).toEqual(['idle no_context 29 s 580 J', 'foreign load 20 s 2000 J']);
  });

  it('says that others may have been there, where no list tells (WSL2)', () => {
    const bench = new CardBench();
    bench.run(30, { processes: null });
    bench.stop();
    expect(bench.ledger.rows[0]).toMatchObject({ kind: 'idle', energy_method: 'derived', flags: ['sharing_unknown'] });
  });

  it('does not take our own worker for a stranger, whose pid is another one in a container', () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(60, { processes: [{ pid: 31_000, share: 0.5 }] });
    bench.stop();
    expect(bench.rowsOf('foreign')).toEqual([]);
  });

  it('is unknown while all meters are silent, with its energy where the counter went on', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.now += 100;
    bench.counter += 2_000_000;
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 19 s 380 J',
      'unknown unread 101 s 2020 J',
      'idle no_context 19 s 380 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('is unknown without a figure, where the counter fell in the silence', () => {
    const bench = new CardBench();
    bench.run(20);
    bench.now += 100;
    bench.counter = 0;
    bench.run(20);
    bench.stop();
    expect(bench.told).toContain('unknown unread 101 s ? J');
    expect(bench.ledger.rows.find(({ energy_mj }) => energy_mj === null)).toMatchObject({ total_cost: null });
  });
});

describe('a counter', () => {
  it('that falls is replaced by samples of power for that second alone', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.counter = 0;
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 19 s 380 J',
      'idle no_context 1 s 20 J',
      'idle no_context 19 s 380 J',
    ]);
    expect(bench.ledger.rows[1]).toMatchObject({
      meter: 'power_integral',
      energy_method: 'derived',
      flags: ['counter_fell'],
    });
    expect(await bench.faults()).toEqual([]);
  });

  it('that says more than the card can draw is not believed', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.counter += 50_000_000;
    bench.run(20);
    bench.stop();
    expect(bench.ledger.rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0)).toBe(39 * 20_000);
    expect(await bench.faults()).toEqual([]);
  });

  it('that stands still while power is drawn is not believed', async () => {
    const bench = new CardBench();
    bench.run(61, { counter: 5 });
    bench.stop();
    expect(bench.ledger.rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0)).toBe(60 * 20_000);
    expect(bench.ledger.rows[0]).toMatchObject({ meter: 'power_integral', energy_method: 'derived' });
    expect(await bench.faults()).toEqual([]);
  });

  it('that is not there leaves the samples of power, with their bound', async () => {
    const bench = new CardBench();
    bench.run(60, { counter: null, watts: 20 });
    bench.run(60, { counter: null, watts: 30 });
    bench.stop();
    const [row] = bench.ledger.rows;
    expect(row).toMatchObject({ kind: 'idle', meter: 'power_integral', energy_method: 'derived' });
    expect(row?.bound_mj).toBeGreaterThan(0);
    expect(await bench.faults()).toEqual([]);
  });

  it('that is not there, on a card that tells no power, leaves nothing known', () => {
    const bench = new CardBench();
    bench.run(60, { counter: null, watts: null });
    bench.stop();
    expect(bench.ledger.rows).toMatchObject([
      { kind: 'unknown', cause: 'unread', energy_mj: null, energy_method: 'unknown' },
    ]);
  });

  it('is believed although the clock is set back: its energy is booked, and no time is negative', async () => {
    const bench = new CardBench();
    bench.run(60);
    bench.now -= 40;
    bench.run(100);
    bench.stop();
    const rows = bench.ledger.rows;
    expect(rows.every((row) => (row.to_at ?? 0) >= (row.from_at ?? 0))).toBe(true);
    expect(rows.reduce((sum, row) => sum + (row.energy_mj ?? 0), 0)).toBe(159 * 20_000);
    expect(await bench.faults()).toEqual([]);
  });

  it('that is read twice in one moment is booked once', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.tell(BEGIN + bench.now * 1_000, { counter: bench.counter, watts: 20, utilization: 0, processes: [] });
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual(['idle no_context 39 s 780 J']);
  });
});

describe('a batch', () => {
  it('has what its windows took, and what lies between them is idle', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.ours = [PID];
    const id = bench.begin();
    bench.run(12);
    bench.run(10, { watts: 100 });
    const load = bench.window(10, 100);
    bench.run(2);
    bench.run(30, { watts: 300 });
    const energy = bench.window(30, 300);
    bench.run(1);
    bench.end(id, energy, [load]);
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual([
      'idle no_context 19 s 380 J',
      'idle between 12 s 240 J',
      'overhead load 10 s 1000 J',
      'idle between 2 s 40 J',
      'active - 30 s 4500 J',
      'active - 30 s 4500 J',
      'idle resident 1 s 20 J',
      'idle resident 20 s 400 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('leaves to others what they burnt beside it, and nothing is known of it where that cannot be told', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.ours = [PID];
    for (const foreign of [3_000_000, null]) {
      const id = bench.begin();
      bench.run(30, { watts: 300 });
      bench.end(id, bench.window(30, 300, { foreign }));
      bench.run(20);
    }
    bench.stop();
    expect(bench.told.filter((row) => row.includes('30 s'))).toEqual([
      'active - 30 s 3000 J',
      'active - 30 s 3000 J',
      'foreign shared 30 s 3000 J',
      'active - 30 s ? J',
      'active - 30 s ? J',
      'unknown shared 30 s 9000 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('whose worker died has what our own readings saw, and says that this is coarse', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.ours = [PID];
    const id = bench.begin();
    bench.run(30, { watts: 300 });
    bench.ours = [];
    const { shared } = bench.end(id, null);
    expect(shared.energy).toMatchObject({
      millijoules: 9_000_000,
      method: 'derived',
      meter: 'nvml_counter',
      flags: ['coarse'],
    });
    bench.run(20);
    bench.stop();
    expect(bench.told).toContain('overhead failed 30 s 4500 J');
    expect(await bench.faults()).toEqual([]);
  });

  it('whose worker died leaves its part to whoever computed beside it', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20);
    const id = bench.begin();
    const processes = [PID, 7].map((pid) => ({ pid, share: pid === 7 ? 0.2 : 0.6 }));
    bench.run(30, { watts: 400, processes });
    bench.ours = [];
    bench.end(id, null);
    bench.run(20);
    bench.stop();
    expect(bench.told).toEqual(expect.arrayContaining(['foreign shared 30 s 3000 J', 'overhead failed 30 s 4500 J']));
    expect(await bench.faults()).toEqual([]);
  });

  it('whose load died has its energy in the load', async () => {
    const bench = new CardBench();
    bench.run(20);
    const id = bench.begin();
    bench.run(15, { watts: 100 });
    const refused = { millijoules: 0, method: 'derived', meter: 'none' } as const;
    bench.end(id, refused, [DIED]);
    bench.run(20);
    bench.stop();
    expect(bench.told).toContain('overhead load 15 s 1500 J');
    expect(await bench.faults()).toEqual([]);
  });

  it('that was refused before anything began took nothing', async () => {
    const bench = new CardBench();
    bench.run(20);
    const id = bench.begin();
    bench.run(4);
    bench.end(id, { millijoules: 0, method: 'derived', meter: 'none' });
    bench.run(20);
    bench.stop();
    expect(bench.rowsOf('overhead').concat(bench.rowsOf('unknown'))).toEqual([]);
    expect(await bench.faults()).toEqual([]);
  });

  it('is booked by samples where the worker did not believe the counter', async () => {
    const bench = new CardBench();
    bench.run(20);
    const id = bench.begin();
    bench.run(30, { watts: 300 });
    bench.counter += 900_000_000;
    const told = bench.window(30, 300, { counter: { from: 1_380_000, to: bench.counter } });
    bench.end(id, { ...told, method: 'derived', meter: 'power_integral', flags: ['implausible'] });
    bench.run(20);
    bench.stop();
    expect(bench.told.filter((row) => row.startsWith('active'))).toEqual([
      'active - 30 s 4500 J',
      'active - 30 s 4500 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });

  it('has its window by our own samples, where its worker has no meter', async () => {
    const bench = new CardBench();
    bench.run(20, { counter: null });
    const id = bench.begin();
    bench.run(30, { watts: 300, counter: null });
    const told = bench.window(30, 300, { counter: null, integral: null });
    const { shared } = bench.end(id, { ...told, millijoules: null, method: 'unknown', meter: 'none' });
    expect(shared.energy).toMatchObject({ method: 'derived', meter: 'power_integral' });
    bench.run(20, { counter: null });
    bench.stop();
    expect(await bench.faults()).toEqual([]);
  });

  it('keeps its windows in order, although a clock was set back between them', async () => {
    const bench = new CardBench();
    bench.run(20);
    const id = bench.begin();
    bench.run(10, { watts: 300 });
    const early = bench.window(10, 300, { from: BEGIN - 50_000, to: BEGIN - 40_000 });
    const { shared } = bench.end(id, early);
    expect(shared.energy.window?.from).toBe(BEGIN + 20_000);
    bench.run(20);
    bench.stop();
    expect(bench.ledger.rows.every((row) => (row.to_at ?? 0) >= (row.from_at ?? 0))).toBe(true);
    expect(await bench.faults()).toEqual([]);
  });

  it('is lost where it was given up before its end, and where its end never came into the ledger', async () => {
    const bench = new CardBench();
    bench.run(20);
    bench.begin();
    bench.run(15, { watts: 100 });
    bench.books.gaveUp();
    bench.run(20);
    const id = bench.begin();
    bench.run(30, { watts: 300 });
    bench.books.end(resultWith(nextBatch(id, 'cuda:0', 2), [], bench.window(30, 300)), []);
    bench.books.gaveUp();
    bench.run(20);
    bench.stop();
    expect(bench.told.filter((row) => row.startsWith('overhead'))).toEqual([
      'overhead lost 15 s 1500 J',
      'overhead lost 30 s 9000 J',
    ]);
    expect(await bench.faults()).toEqual([]);
  });
});
