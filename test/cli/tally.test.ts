import { describe, expect, it } from 'vitest';
import { Tally } from '../../src/cli/tally.ts';
import { receiptOf } from '../store/samples.ts';
import { ManualClock } from '../support/manual-clock.ts';

function tallied() {
  const clock = new ManualClock();
  const tally = new Tally(clock);
  /** A batch whose pictures are all seen `seconds` after what came before. */
  const batch = (id: string, images: number, seconds: number) => {
    clock.advance(seconds * 1000);
    for (let image = 0; image < images; image += 1) tally.add(receiptOf(id));
  };
  return { clock, tally, batch };
}

describe('the tally behind the live line', () => {
  it('tells a rate with the load in it from the first batch on, and none before', () => {
    const { tally, batch } = tallied();
    expect([tally.imagesPerHour, tally.secondsFor(8)]).toEqual([0, null]);
    batch('b-1', 8, 100);
    expect(tally.imagesPerHour).toBe(288);
    expect(tally.secondsFor(4)).toBe(50);
  });

  it('leaves out the first batch with its time, as soon as later ones can tell the rate', () => {
    const { tally, batch } = tallied();
    batch('b-1', 8, 100);
    batch('b-2', 8, 10);
    batch('b-3', 8, 10);
    expect(tally.imagesPerHour).toBe((16 / 20) * 3600);
    expect(tally.secondsFor(8)).toBe(10);
  });

  it('adds money up to the last nano-unit', () => {
    const { tally } = tallied();
    for (const amount of [0.1, 0.2, 0.000000001]) {
      tally.add(receiptOf('b-1', { cost: { amount, currency: 'EUR', method: 'measured' } }));
    }
    expect(tally.bill.total.cost).toEqual({ amount: 0.300000001, currency: 'EUR', method: 'measured', unknowns: 0 });
    expect(tally.bill.perThousand?.cost.amount).toBe(100.000000333);
  });

  it('counts a picture of unknown cost, and adds no two currencies', () => {
    const { tally } = tallied();
    tally.add(receiptOf('b-1'));
    tally.add(receiptOf('b-1', { cost: { amount: null, currency: 'EUR', method: 'unknown' } }));
    expect(tally.bill.total.cost).toMatchObject({ amount: 0.000006771, unknowns: 1 });
    tally.add(receiptOf('b-2', { cost: { amount: 1, currency: 'CHF', method: 'measured' } }));
    expect(tally.bill.total.cost.amount).toBeNull();
  });
});
