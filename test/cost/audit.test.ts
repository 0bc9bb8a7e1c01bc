import { describe, expect, it } from 'vitest';
import { type AuditFault, audit } from '../../src/cost/audit.ts';
import { wallClock } from '../../src/cost/local-time.ts';
import type { LedgerRow } from '../../src/ports.ts';
import { CardBench, GPU, PID } from './card-bench.ts';

describe('the audit', () => {
  it('finds rest that was booked as pictures, whether or not it names a batch', async () => {
    const bench = new CardBench();
    bench.run(1_200, { watts: 60 });
    bench.stop();
    for (const batch of [null, 'launch1-1']) {
      const faults = await faultsWith(bench, (row) => (row.kind === 'idle' ? asPicture(row, batch) : row));
      expect(faults.map(({ kind }) => kind)).toEqual(['idle', 'ours', 'batch']);
      expect(faults[1]?.sentence).toMatch(/energy of batches: the marks say 0\.000 J, the ledger has 71\d{3}\.000 J$/);
    }
  });

  it('finds a picture and an overhead of a card that name no batch, even where they took nothing', async () => {
    const bench = withBatch();
    const faults = await faultsWith(bench, (row, place) =>
      place === 0 ? { ...asPicture(row, null), id: 'stray', energy_mj: 0 } : row,
    );
    expect(faults.map(({ sentence }) => sentence.replace(/^\S+ /, ''))).toContain(
      'row stray is active and names no batch',
    );
  });

  it('finds a picture that was booked as rest, and a batch that was lost', async () => {
    const made = await faultsWith(withBatch(), (row) => (row.kind === 'active' ? { ...row, kind: 'idle' } : row));
    expect(made.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['batch', 'ours', 'idle']));
    const bench = withKill();
    expect(await bench.faults()).toEqual([]);
    const lost = await faultsWith(bench, (row) => (row.cause === 'lost' ? { ...row, kind: 'idle' } : row));
    expect(lost.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['batch', 'ours', 'idle']));
  });

  it('finds a load that was booked as a picture, and a batch that was killed', async () => {
    const bench = withBatch(10);
    expect(await bench.faults()).toEqual([]);
    const load = await faultsWith(bench, (row) => (row.cause === 'load' ? asPicture(row, row.batch_id) : row));
    expect(load.map(({ sentence }) => sentence)).toEqual([
      expect.stringMatching(/: jobs of batch launch1-1 took 8400\.000 J and have 9400\.000 J$/),
    ]);
    const killed = withKill();
    const lost = await faultsWith(killed, (row) => (row.cause === 'lost' ? asPicture(row, row.batch_id) : row));
    expect(lost.map(({ kind }) => kind)).toEqual(['batch']);
  });

  it('goes by the windows of a batch, whatever was marked of it meanwhile: of a counter that stands still', async () => {
    const bench = new CardBench();
    bench.ours = [PID];
    bench.run(20, { counter: 500 });
    const id = bench.begin();
    bench.run(40, { counter: 500, watts: 300, utilization: 1, processes: [{ pid: PID, share: 1 }] });
    const integral = { millijoules: 38 * 300_000, bound: 100 };
    const window = bench.window(38, 300, { counter: { from: 500, to: 500 }, integral });
    bench.end(id, { ...window, method: 'derived', meter: 'power_integral', flags: ['implausible'] });
    bench.run(20, { counter: 500 });
    bench.stop();
    expect(bench.rowsOf('active').reduce((sum, row) => sum + (row.energy_mj ?? 0), 0)).toBe(38 * 300_000);
    expect(await bench.faults()).toEqual([]);
  });
});

/** @param load seconds of a load before it, at 100 W */
function withBatch(load = 0): CardBench {
  const bench = new CardBench();
  bench.ours = [PID];
  bench.run(20);
  const id = bench.begin();
  bench.run(load, { watts: 100, utilization: 1, processes: [{ pid: PID, share: 1 }] });
  const loads = load === 0 ? [] : [bench.window(load, 100)];
  bench.run(30, { watts: 300, utilization: 1, processes: [{ pid: PID, share: 1 }] });
  bench.end(id, bench.window(28, 300), loads);
  bench.run(20);
  bench.stop();
  return bench;
}

function withKill(): CardBench {
  const bench = new CardBench();
  bench.run(25);
  bench.begin();
  bench.run(25, { watts: 300 });
  bench.restart();
  bench.run(20);
  bench.stop();
  return bench;
}

function asPicture(row: LedgerRow, batch: string | null): LedgerRow {
  return { ...row, kind: 'active', cause: null, job_id: 'somebody', batch_id: batch };
}

async function faultsWith(
  { marks, ledger }: CardBench,
  change: (row: LedgerRow, place: number) => LedgerRow,
): Promise<readonly AuditFault[]> {
  const span = { from: 0, to: Number.MAX_SAFE_INTEGER };
  const rows = stream(ledger.rows.map(change));
  return (await audit({ gpu: GPU, marks: stream(marks), rows, span, clock: wallClock('UTC') })).faults;
}

async function* stream<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
