import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Clock, Store } from '../../src/ports.ts';
import { madeIn, runWrite } from '../store/samples.ts';
import { StoreBench } from './store-bench.ts';
import { controlPromises } from './store-control.ts';
import { ledgerPromises } from './store-ledger.ts';
import { runPromises } from './store-runs.ts';
import { settlingPromises } from './store-settling.ts';
import { sumPromises } from './store-sums.ts';

/** What every store promises. `make` opens an empty one. */
export function storeContract(make: (clock: Pick<Clock, 'now'>) => Promise<Store>): void {
  let bench: StoreBench;
  let store: Store;

  beforeEach(async () => {
    let now = 1_700_000_000_000;
    store = await make({ now: () => ++now });
    bench = new StoreBench(store, () => now);
  });

  afterEach(() => store.close());

  runPromises(() => bench);
  settlingPromises(() => bench);
  controlPromises(() => bench);
  ledgerPromises(() => bench);
  sumPromises(() => bench);

  describe('what changed', () => {
    it('numbers every change higher than the sequence that was read before it', async () => {
      await bench.startRun('r1', 2);
      const steps: (() => Promise<unknown>)[] = [
        () => store.markRunning(['r1-000000'], 'b-1'),
        () => store.settle(madeIn('b-1', 'r1', [0])),
        () => store.interrupt('r1', 'launch-a'),
      ];
      for (const step of steps) {
        const before = await store.sequence();
        await step();
        const changed = await store.changedSince('r1', before);
        expect(changed).toHaveLength(1);
        expect(changed[0]?.seq).toBeGreaterThan(before);
        expect(await store.changedSince('r1', await store.sequence())).toEqual([]);
      }
    });

    it('hands changes out oldest first, in pages that miss none and repeat none', async () => {
      await bench.startRun('r1', 7);
      await store.markRunning(['r1-000004', 'r1-000000'], 'b-1');
      const seen: string[] = [];
      for (let seq = 0; ; ) {
        const page = await store.changedSince('r1', seq, 3);
        if (page.length === 0) break;
        expect(page.length).toBeLessThanOrEqual(3);
        seen.push(...page.map((row) => row.id.slice(-1)));
        seq = page.at(-1)?.seq ?? Number.NaN;
      }
      expect(seen).toEqual(['1', '2', '3', '5', '6', '4', '0']);
    });

    it('tells a follower of one run nothing of another', async () => {
      await bench.startRun('r1', 1);
      const before = await store.sequence();
      await bench.startRun('r2', 1);
      expect(await store.changedSince('r1', before)).toEqual([]);
    });
  });

  it('answers no call after it was closed, and may be closed twice', async () => {
    const last = store.sequence();
    await store.close();
    await store.close();
    expect(await last).toBe(0);
    await expect(store.sequence()).rejects.toMatchObject({ name: 'StorageError', code: 'store_closed' });
    await expect(store.writeRun(runWrite('r1', 1))).rejects.toMatchObject({ code: 'store_closed' });
  });
}
