import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assumedPart } from '../../src/cli/assumed-energy.ts';
import { assumptionsOf } from '../../src/cli/prices.ts';
import { loadConfig } from '../../src/config.ts';
import type { Method } from '../../src/units.ts';

const COST = { amount: 0.01, currency: 'EUR', method: 'derived', unknowns: 0 } as const;

function part(joules: number | null, method: Method) {
  return { seconds: 1, energy: { joules, method, unknowns: 0 }, cost: COST };
}

describe('the energy that a bill says is assumed', () => {
  it('is all of it where no meter told any', () => {
    expect(assumedPart({ pictures: part(100, 'assumed'), overhead: part(10, 'assumed') })).toBe('');
    expect(assumedPart({ pictures: part(100, 'assumed'), overhead: part(0, 'measured') })).toBe('');
  });

  it('is that of loading alone where each picture was metered', () => {
    const overhead = part(10, 'assumed');
    expect(assumedPart({ pictures: part(100, 'measured'), overhead })).toBe(' of loading and overhead');
    expect(assumedPart({ pictures: part(null, 'unknown'), overhead })).toBe(' of loading and overhead');
  });

  it('is that of pictures where the load was metered', () => {
    expect(assumedPart({ pictures: part(100, 'assumed'), overhead: part(10, 'derived') })).toBe(' of pictures');
  });
});

describe('the line below a bill of assumed energy', () => {
  const { energy } = part(100, 'assumed');
  const bill = { energy, parts: { pictures: part(100, 'assumed'), overhead: part(10, 'assumed') } };
  const lineOf = (yaml: string): string => {
    const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-assumed-'));
    writeFileSync(join(folder, 'kilnwatt.yaml'), yaml);
    const lines = assumptionsOf(loadConfig({ cwd: folder, env: { HOME: folder } }), bill);
    rmSync(folder, { recursive: true });
    return lines.at(-1) ?? '';
  };

  it('names the file to set watts in, "there" below a price that names it, and nothing where they are set', () => {
    expect(lineOf('no_color: true\n')).toMatch(/; set yours there: "energy: /);
    expect(lineOf('tariff: { price_per_kwh: 0.34 }\n')).toMatch(/; set yours in .*kilnwatt\.yaml: "energy: /);
    expect(lineOf('energy: { cpu_watts: 45 }\n')).toMatch(/^~ energy is time × watts \(45 W for the CPU, .*\)$/);
  });
});
