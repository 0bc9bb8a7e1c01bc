import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { marksOf, rowsOf } from '../../src/cli/ledger-rows.ts';
import { audit } from '../../src/cost/audit.ts';
import { wallClock } from '../../src/cost/local-time.ts';
import type { Settlement } from '../../src/ports.ts';
import { systemClock } from '../../src/process/clock.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { Month } from './month/month.ts';

it('the database agrees with the ledger of the simulated month on what is open, and passes its audit', async () => {
  const month = new Month({ seed: 5, days: 0.75, quiet: 5_000 });
  const writes: Pick<Settlement, 'entries' | 'meter'>[] = [];
  month.ledger.onWrite = (write) => writes.push(write);
  await month.run();
  const folder = await mkdtemp(join(tmpdir(), 'kilnwatt-month-'));
  const store = await openSqliteStore({ path: join(folder, 'kilnwatt.sqlite'), clock: systemClock });
  try {
    for (const [place, { entries, meter }] of writes.entries()) {
      const batchId = entries[0]?.batchId ?? `write-${place}`;
      const settlement = { batchId, at: entries[0]?.at ?? 0, entries, jobs: [], ...(meter && { meter }) };
      await (entries.length === 0 && meter !== undefined ? store.meter(meter) : store.settle(settlement));
    }
    const byCard = (one: { readonly gpu: string }, other: { readonly gpu: string }) => (one.gpu < other.gpu ? -1 : 1);
    expect(await store.chains()).toEqual(month.ledger.chains().toSorted(byCard));
    const span = { from: 0, to: Number.MAX_SAFE_INTEGER };
    for (const { options } of month.cards) {
      const parts = { gpu: options.gpu, marks: marksOf(store, options.gpu, span), rows: rowsOf(store, span) };
      const { faults, totals } = await audit({ ...parts, span, clock: wallClock('UTC') });
      expect(faults).toEqual([]);
      expect(totals.active).toBeGreaterThan(0);
    }
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}, 60_000);
