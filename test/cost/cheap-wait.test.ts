import { describe, expect, it } from 'vitest';
import { CheapWait } from '../../src/cost/cheap-wait.ts';
import { HOUR, NIGHT } from './night.ts';
import { flatTariff } from './terms.ts';

const FLAT = flatTariff(0.3, { assumed: true });
const MIDNIGHT = Date.UTC(2026, 0, 1);
const TONIGHT = MIDNIGHT + 22 * HOUR;

describe('waiting for cheap electricity', () => {
  it('ends with the minute in which the cheap time begins, and begins with the one in which it ends', () => {
    const wait = new CheapWait(NIGHT);
    expect(wait.until(MIDNIGHT + 6 * HOUR - 1)).toBeNull();
    expect(wait.until(MIDNIGHT + 6 * HOUR)).toBe(TONIGHT);
    expect(wait.until(TONIGHT - 1)).toBe(TONIGHT);
    expect(wait.until(TONIGHT)).toBeNull();
    expect(wait.until(TONIGHT + 8 * HOUR)).toBe(TONIGHT + 24 * HOUR);
  });

  it('goes by the clock as it is, also where that is set', () => {
    const wait = new CheapWait(NIGHT);
    expect(wait.until(MIDNIGHT + 3 * 24 * HOUR + 12 * HOUR)).toBe(TONIGHT + 3 * 24 * HOUR);
    expect(wait.until(MIDNIGHT + 12 * HOUR)).toBe(TONIGHT);
    expect(wait.until(MIDNIGHT + HOUR)).toBeNull();
  });

  it('asks the tariff once a minute, however many jobs ask', () => {
    let asked = 0;
    const slices: typeof NIGHT.slices = (span) => {
      asked += 1;
      return NIGHT.slices(span);
    };
    const wait = new CheapWait({ ...NIGHT, slices });
    const noon = MIDNIGHT + 12 * HOUR;
    wait.until(noon);
    const once = asked;
    for (let at = 0; at < 10_000; at += 1) wait.until(noon + at);
    expect(asked).toBe(once);
  });

  it('is of no use with one price, at which nothing waits', () => {
    expect(new CheapWait(FLAT).until(MIDNIGHT)).toBeNull();
  });
});
