import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { report } from '../../src/cli/report.ts';
import { chargeSample, entryOf, stretchOf } from '../cost/ledger-samples.ts';
import { NOW, Office } from './bookkeeping.ts';

let office: Office;
beforeEach(() => {
  office = new Office();
});
afterEach(() => office.close());

const DAY = 86_400_000;

describe('try', () => {
  it('shows', async () => {
    const entries = [];
    const stretches = [];
    for (let day = 0; day < 30; day++) {
      const at = NOW - day * DAY - 3_600_000;
      for (let i = 0; i < ((day * 7) % 13) + 3; i++)
        entries.push(
          entryOf({
            at: at - i * 60000,
            millijoules: 3_000_000 + i * 1000,
            model: i % 2 ? 'sdxl' : 'flux-dev',
            run: `r${day % 5}`,
          }),
        );
      entries.push(entryOf({ at, millijoules: 9_000_000 }, 'load'));
      if (day % 9 === 0) entries.push(entryOf({ at, millijoules: null }, 'failed'));
      stretches.push(
        stretchOf('idle', 'resident', { at, millijoules: 300_000_000 }),
        stretchOf('idle', 'no_context', { at, millijoules: 500_000_000 }),
      );
      if (day % 4 === 0) stretches.push(stretchOf('foreign', 'process', { at, millijoules: 900_000_000 }));
    }
    stretches.push(stretchOf('unknown', 'off', { at: NOW - DAY, millijoules: null }));
    await office.store.settle({ batchId: 'b', at: NOW, entries, jobs: [], meter: { marks: [], stretches } });
    await office.store.charge([
      chargeSample(NOW - DAY, 10, { currency: 'USD' }),
      chargeSample(NOW - DAY, -2),
      chargeSample(NOW - DAY, 5, { currency: 'GBP', service: 'runpod' }),
    ]);
    const yaml = `report: { rates: { USD: { rate: 0.92, date: 2026-11-02, source: ECB } }, hardware: { price: 1600, bought: 2026-03-01, resale: 700 } }
energy: { supply_efficiency: 0.9, host_watts: 60 }
carbon: { grams_per_kwh: 381 }
`;
    for (const by of [undefined, 'service', 'model', 'day'] as const) {
      const { app, io } = office.command(yaml);
      await report(app, { ...(by && { by }), html: `/tmp/report-${by ?? 'none'}.html` });
      const two = office.command(yaml);
      await report(two.app, by ? { by } : {});
      console.log(two.io.written.join('\n'));
      console.log(io.errors);
      expect(two.io.written.filter((line) => line.length > 80)).toEqual([]);
    }
    const { app, io } = office.command(yaml);
    await report(app, { json: true });
    writeFileSync('/tmp/report.json', io.written.join('\n'));
    const c = office.command(yaml);
    await report(c.app, { csv: true, by: 'service' });
    console.log(c.io.written.join('\n'));
  });
});
