import { describe, expect, it } from 'vitest';
import type { Measurement } from '../../src/ports.ts';
import { Measurements } from '../../src/provider/measurements.ts';
import { ManualClock } from '../support/manual-clock.ts';

const DAY = 24 * 60 * 60_000;
const AT = new ManualClock().now();
const PLACE = { device: 'GPU-1', model: 'm', shape: '64x64' };
const FIGURES = { engine: '000000000000', batch: 4, stepSeconds: 0.5, otherSeconds: 1, peakBytes: 5_000 };

describe('what a batch took', () => {
  it('is known by the fastest of the last three, since any may have been disturbed, and by the most memory of these', () => {
    const { measurements, clock, stepOf } = measuring();
    measurements.note(PLACE, FIGURES, false);
    clock.advance(1_000);
    measurements.note(PLACE, { ...FIGURES, stepSeconds: 0.25 }, false);
    measurements.note(PLACE, { ...FIGURES, batch: 2, stepSeconds: 0.125 }, false);
    measurements.note({ ...PLACE, shape: '32x32' }, { ...FIGURES, stepSeconds: 9 }, false);
    expect(measurements.of(PLACE)).toEqual([
      { ...PLACE, ...FIGURES, stepSeconds: 0.25, count: 2, at: clock.now() },
      { ...PLACE, ...FIGURES, batch: 2, stepSeconds: 0.125, count: 1, at: clock.now() },
    ]);
    for (const peakBytes of [7_000, 6_000, 4_000, 3_000]) measurements.note(PLACE, { ...FIGURES, peakBytes }, false);
    expect([stepOf(), measurements.of(PLACE)[0]?.peakBytes]).toEqual([0.5, 6_000]);
  });

  it('in the first batch after a load tells of memory alone', () => {
    const { measurements } = measuring();
    measurements.note(PLACE, { ...FIGURES, stepSeconds: 0.1 }, true);
    expect(measurements.of(PLACE)).toMatchObject([{ count: 0, peakBytes: 5_000 }]);
    measurements.note(PLACE, FIGURES, false);
    expect(measurements.of(PLACE)).toMatchObject([{ count: 1, stepSeconds: 0.5 }]);
    measurements.note(PLACE, { ...FIGURES, stepSeconds: 0.1, peakBytes: 6_000 }, true);
    expect(measurements.of(PLACE)).toMatchObject([{ count: 1, stepSeconds: 0.5, peakBytes: 6_000 }]);
  });

  it('of an earlier process is one of the last three', () => {
    const { measurements, stepOf } = measuring([{ ...PLACE, ...FIGURES, stepSeconds: 0.1, count: 7, at: AT }]);
    for (const step of [0.1, 0.1, 0.5]) {
      measurements.note(PLACE, FIGURES, false);
      expect(stepOf()).toBe(step);
    }
  });

  it('is believed for a month, after a restart too, and not for years by a clock that was far ahead', () => {
    const at = AT;
    const { measurements, clock } = measuring([{ ...PLACE, ...FIGURES, count: 7, at: at - 30 * DAY + 1 }]);
    expect(measurements.of(PLACE)).toMatchObject([{ count: 7 }]);
    clock.advance(1);
    expect(measurements.of(PLACE)).toEqual([]);
    measurements.note(PLACE, FIGURES, true);
    expect(measurements.of(PLACE)).toMatchObject([{ count: 0 }]);
    expect(measuring([{ ...PLACE, ...FIGURES, count: 1, at: at + 100 * DAY }]).measurements.of(PLACE)).toEqual([]);
  });

  it('is kept until it is believed, and then once a minute, or each batch would wait for the disk', () => {
    const { measurements, clock, told } = measuring();
    for (let batch = 0; batch < 100; batch += 1) measurements.note(PLACE, FIGURES, false);
    measurements.note(PLACE, { ...FIGURES, batch: 1 }, false);
    expect(told.map(({ batch, count }) => [batch, count])).toEqual([
      [4, 1],
      [4, 2],
      [1, 1],
    ]);
    clock.advance(60_000);
    measurements.note(PLACE, FIGURES, false);
    expect(told.at(-1)).toMatchObject({ batch: 4, count: 101 });
  });
});

function measuring(known: readonly Measurement[] = []) {
  const clock = new ManualClock();
  const told: Measurement[] = [];
  const measurements = new Measurements({ known, note: (one) => void told.push(one) }, clock);
  return { clock, measurements, told, stepOf: () => measurements.of(PLACE)[0]?.stepSeconds };
}
