import { describe, expect, it } from 'vitest';
import { cheapNow, nextCheap, priceAt } from '../../src/cost/cheap.ts';
import { zonedTariff } from '../../src/cost/tariff-zones.ts';
import { seeded } from '../support/rng.ts';
import { anyTerms, flatTariff, NIGHT, termsOf } from './terms.ts';

const at = (text: string) => Date.parse(text);
const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());
const night = zonedTariff(termsOf([NIGHT]));

describe('the cheap time of a day', () => {
  it.each([
    ['2026-01-10T12:00Z', false, '2026-01-10T21:00:00.000Z'],
    ['2026-01-10T21:00Z', true, null],
    ['2026-01-11T04:59Z', true, null],
    ['2026-01-11T05:00Z', false, '2026-01-11T21:00:00.000Z'],
    ['2026-03-28T12:00Z', false, '2026-03-28T21:00:00.000Z'],
    ['2026-03-29T12:00Z', false, '2026-03-29T20:00:00.000Z'],
  ])('with a night that is cheap: at %s it is %s, and begins next at %s', (now, cheap, next) => {
    expect([cheapNow(night, at(now)), iso(nextCheap(night, at(now)))]).toEqual([cheap, next]);
  });

  it('begins tomorrow where that of today is over', () => {
    const early = zonedTariff(termsOf([{ price_per_kwh: 0.1, hours: '02:00-05:00' }]));
    expect(iso(nextCheap(early, at('2026-01-10T12:00Z')))).toBe('2026-01-11T01:00:00.000Z');
  });

  it('is by the next 24 hours and not by the date: nothing waits for a price that is not lower', () => {
    const weekend = zonedTariff(
      termsOf([{ price_per_kwh: 0.22, days: 'sat-sun', hours: '22:00-06:00' }], { pricePerKwh: 0.34 }),
    );
    // A Monday that was cheap until 06:00, and a week without another cheap hour before Saturday.
    expect(cheapNow(weekend, at('2026-11-30T18:41Z'))).toBe(true);
    expect(iso(nextCheap(weekend, at('2026-11-30T18:41Z')))).toBe('2026-12-05T21:00:00.000Z');
    expect([cheapNow(weekend, at('2026-12-04T20:59Z')), cheapNow(weekend, at('2026-12-04T21:00Z'))]).toEqual([
      true,
      false,
    ]);
  });

  it('is not waited through to a day that is dear as a whole, nor through one that is a day away', () => {
    const week = zonedTariff(termsOf([{ ...NIGHT, days: 'mon-thu' }]));
    // The 10th of January 2026 is a Saturday, with one price from the first minute to the last.
    expect(cheapNow(week, at('2026-01-10T12:00Z'))).toBe(true);
    expect(iso(nextCheap(week, at('2026-01-10T12:00Z')))).toBe('2026-01-12T21:00:00.000Z');
  });

  it('is always, and never begins, with one price', () => {
    const flat = flatTariff(0.3, { assumed: true });
    for (const tariff of [flat, zonedTariff(termsOf([]))]) {
      expect(cheapNow(tariff, at('2026-01-10T12:00Z'))).toBe(true);
      expect(nextCheap(tariff, at('2026-01-10T12:00Z'))).toBeNull();
    }
  });

  it('has no lower price in the 24 hours after it, and is waited for only where it costs less than now', () => {
    const random = seeded(9);
    let waited = 0;
    for (let round = 0; round < 300; round += 1) {
      const tariff = zonedTariff(anyTerms(random, 2026));
      const now = at('2026-01-01T00:00Z') + Math.floor(random() * 365 * 86_400_000);
      const price = priceAt(tariff, now);
      const day = tariff.slices({ from: now, to: now + 86_400_001 });
      expect(cheapNow(tariff, now)).toBe(day.every(({ nano }) => nano >= price));
      const next = nextCheap(tariff, now);
      if (cheapNow(tariff, now)) continue;
      waited += 1;
      expect([next !== null && next > now, priceAt(tariff, next ?? now) < price]).toEqual([true, true]);
      expect([cheapNow(tariff, next ?? now), cheapNow(tariff, (next ?? now) - 1)]).toEqual([true, false]);
    }
    expect(waited).toBeGreaterThan(50);
  });
});
