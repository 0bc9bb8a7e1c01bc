import { describe, expect, it } from 'vitest';
import { assumedPart } from '../../src/cli/assumed-energy.ts';
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
