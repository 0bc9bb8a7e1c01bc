import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { energyOf } from '../../src/worker/energy.ts';
import { parseMessage } from '../../src/worker/messages.ts';

const SAMPLES = resolve(import.meta.dirname, '../fixtures/messages');
const WINDOW = { gpu: 'GPU-5c1d0d9e-0000-4000-8000-000000000001', from: 1_780_000_000_000, to: 1_780_000_004_500 };
const COUNTER = { from: 80_000_000, to: 81_312_000 };
const INTEGRAL = { millijoules: 1_301_500, bound: 98_000 };

describe('what a worker says of energy', () => {
  it('by the counter of its card has a window and no bound', () => {
    expect(toldBy('done-counter')).toEqual({
      millijoules: 1_312_000,
      meter: 'nvml_counter',
      method: 'measured',
      window: { ...WINDOW, counter: COUNTER, integral: INTEGRAL, foreign: 0 },
    });
  });

  it('by samples of power has their bound, also where the counter fell, which is told as it was read', () => {
    const integral = { millijoules: 1_301_500, meter: 'power_integral', method: 'derived', bound: 98_000 };
    const window = { ...WINDOW, integral: INTEGRAL, foreign: 0 };
    expect(toldBy('done-integral')).toEqual({
      ...integral,
      flags: ['coarse'],
      window: { ...window, counter: null },
    });
    expect(toldBy('done-counter-fell')).toEqual({
      ...integral,
      flags: ['coarse', 'counter_fell'],
      window: { ...window, counter: { from: 80_000_000, to: 412_000 } },
    });
  });

  it('is without what others burnt, and unknown where that cannot be told', () => {
    const window = { ...WINDOW, counter: COUNTER, integral: INTEGRAL };
    expect(toldBy('done-shared')).toEqual({
      millijoules: 984_000,
      meter: 'nvml_counter',
      method: 'derived',
      flags: ['shared_gpu'],
      window: { ...window, foreign: 328_000 },
    });
    expect(toldBy('done-shared-untold')).toEqual({
      millijoules: null,
      meter: 'none',
      method: 'unknown',
      flags: ['shared_gpu'],
      window: { ...window, foreign: null },
    });
  });

  it('is unknown on a card that tells nothing, and on a processor that does not either, which has no window', () => {
    const unknown = { millijoules: null, meter: 'none', method: 'unknown' };
    const window = { ...WINDOW, counter: null, integral: null, foreign: 0 };
    expect(toldBy('done-no-meter')).toEqual({ ...unknown, flags: ['sharing_unknown'], window });
    expect(toldBy('done')).toEqual(unknown);
  });

  it('by a processor is that of all of it', () => {
    const rapl = { millijoules: 412_000, meter: 'rapl', method: 'derived', flags: ['whole_package'] };
    expect(toldBy('loaded-rapl')).toEqual(rapl);
  });
});

function toldBy(sample: string) {
  const parsed = parseMessage(JSON.stringify(JSON.parse(readFileSync(resolve(SAMPLES, `${sample}.json`), 'utf8'))));
  if (!parsed.ok || !('energy' in parsed.message) || parsed.message.energy === null)
    throw new Error(`${sample} says nothing of energy`);
  return energyOf(parsed.message.energy);
}
