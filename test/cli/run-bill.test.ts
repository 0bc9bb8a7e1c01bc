import { describe, expect, it } from 'vitest';
import { humanReporter } from '../../src/cli/run-human.ts';
import { summaryOf } from '../../src/cli/run-summary.ts';
import type { Receipt } from '../../src/ports.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { PlannedRun } from '../../src/submission.ts';
import { activeEntry, jobOf, receiptOf, runWrite } from '../store/samples.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { keptIo } from './kept-io.ts';

const KNOWN = receiptOf('b-1', {
  energy: { joules: 100, method: 'measured', meter: 'nvml_counter', flags: [] },
  cost: { amount: 0.01, currency: 'EUR', method: 'measured' },
});
const UNKNOWN = receiptOf('b-1', {
  energy: { joules: null, method: 'unknown', meter: 'none', flags: [] },
  cost: { amount: null, currency: 'EUR', method: 'unknown' },
});

describe('the bill of a command', () => {
  it('holds pictures and overhead, and says in numbers what it does not hold', async () => {
    const bill = await billOf([KNOWN, KNOWN, UNKNOWN], UNKNOWN);
    expect(bill).toMatchObject({
      images: 3,
      energy: { joules: 200, method: 'measured', unknowns: 2 },
      cost: { amount: 0.02, currency: 'EUR', method: 'measured', unknowns: 2 },
      parts: {
        pictures: { energy: { joules: 200, unknowns: 1 }, cost: { amount: 0.02, unknowns: 1 } },
        overhead: { energy: { joules: null, unknowns: 1 }, cost: { amount: null, unknowns: 1 } },
      },
      per_thousand: { seconds: 1250, energy: { joules: 66_666.667, unknowns: 1 }, cost: { amount: 6.666666667 } },
    });
  });

  it('is free, and has nothing per thousand, where nothing was submitted', async () => {
    const bill = await billOf([KNOWN], KNOWN, { since: null, made: 0 });
    const free = {
      energy: { joules: 0, method: 'measured', unknowns: 0 },
      cost: { amount: 0, currency: 'EUR', method: 'measured', unknowns: 0 },
    };
    expect(bill).toMatchObject({ ...free, per_thousand: null, batches: 0, mean_batch: 0 });
    expect(bill.parts).toEqual({ pictures: { seconds: 0, ...free }, overhead: { seconds: 0, ...free } });
  });

  it('reads "at least" for people wherever something is unknown, and nowhere else', async () => {
    const [, pictures, overhead, inAll, perThousand] = await tableOf([KNOWN, UNKNOWN], KNOWN);
    expect(pictures).toMatch(/^pictures +2.50 s +at least 100 J +at least 0.0100 EUR$/);
    expect(overhead).toMatch(/^loading and overhead +1.25 s +100 J +0.0100 EUR$/);
    expect(inAll).toMatch(/^in all +3.75 s +at least 200 J +at least 0.0200 EUR$/);
    expect(perThousand).toMatch(/^per 1,000, without loading +20 min 50 s +at least 0.0139 kWh +at least 5.00 EUR$/);
  });

  it('reads "?" where nothing is known', async () => {
    const [, pictures] = await tableOf([UNKNOWN], UNKNOWN);
    expect(pictures).toMatch(/^pictures +1.25 s +\? +\?$/);
  });
});

describe('the live line', () => {
  it('leaves out whole figures where the terminal is narrow, the least important first, and never cuts one', () => {
    expect(liveLineAt(120)).toBe('25% 1/4 360/h 30 s left 80 W 0.0000278 kWh 0.0100 EUR 10.0 EUR/1,000');
    expect(liveLineAt(60)).not.toContain('…');
    expect(liveLineAt(60).length).toBeLessThan(60);
    expect(liveLineAt(40)).toMatch(/^1\/4 .*10\.\d+ EUR\/1,000$/);
  });
});

/** After the first of four pictures, which took ten seconds. */
function liveLineAt(columns: number): string {
  const io = keptIo({ terminal: columns });
  const clock = new ManualClock();
  const reporter = humanReporter({ io, clock, cwd: '/', assumptions: () => [] });
  const counts = { jobs: 4, to_make: 4, cached: 0, failed: 0, removed: 0 };
  reporter.event({ event: 'run', run: 'r', name: 'r', resumed: false, ...counts, out_dir: '/out' });
  clock.advance(10_000);
  reporter.event({ event: 'image', id: 'r-1', prompt: 'a', seed: 1, path: '/a.png', cached: false, receipt: KNOWN });
  return (io.shown.at(-1) ?? '').replaceAll(/ +/g, ' ');
}

/** Of a run whose jobs were all made in one batch, with one load before it. */
async function billOf(
  receipts: readonly Receipt[],
  load: Receipt,
  { since = 0, made = receipts.length }: { readonly since?: number | null; readonly made?: number } = {},
) {
  const store = new MemoryStore();
  const write = runWrite('r1', receipts.length);
  await store.writeRun(write);
  const entries = receipts.map((receipt, index) => activeEntry('r1', jobOf('r1', index).id, 'b-1', { receipt }));
  const booked = { id: 'load', kind: 'overhead', cause: 'load', jobId: null, receipt: load } as const;
  await store.settle({
    batchId: 'b-1',
    at: 1,
    entries: [...entries, activeEntry('r1', '', 'b-1', booked)],
    jobs: write.add.map(({ job }) => ({ id: job.id, state: 'done', path: job.target })),
  });
  const planned: PlannedRun = {
    run: write.run,
    existing: null,
    plan: { done: [], failed: [], removed: [] },
    drawsSeeds: false,
    add: write.add,
    requeue: [],
    jobs: write.add.map(({ job }) => job),
    since: 0,
    folder: '/out',
    total: receipts.length,
  };
  return summaryOf({
    store,
    planned,
    made,
    failed: 0,
    since,
    seconds: 12,
    waited: 0,
    currency: 'EUR',
    contactSheet: null,
  });
}

async function tableOf(receipts: readonly Receipt[], load: Receipt): Promise<readonly string[]> {
  const io = keptIo();
  const bill = await billOf(receipts, load);
  humanReporter({ io, clock: new ManualClock(), cwd: '/', assumptions: () => [] }).event(bill);
  return io.written.slice(io.written.findIndex((line) => line.includes('energy')));
}
