import { describe, expect, it } from 'vitest';
import { zonedTariff } from '../src/cost/tariff-zones.ts';
import type { ZoneTerms } from '../src/cost/zone.ts';
import { parseHours } from '../src/hours.ts';
import { CheapWaits, type Useless } from '../src/kiln-waits.ts';
import { HOUR, nightOf } from './cost/night.ts';
import { termsOf } from './cost/terms.ts';
import { ManualClock } from './support/manual-clock.ts';

const WISH = { priority: 'bulk', when: 'cheap' } as const;
const JULY = Date.parse('2026-07-01T12:00Z');

/** What is told of waiting when a job is asked about each day. @param hours of each device, by this host's clock */
function told(tariff: ReturnType<typeof nightOf>, { from = JULY, days = 1, hours = ['00:00-24:00'] } = {}): Useless[] {
  const clock = new ManualClock();
  clock.set(from - clock.now());
  const said: Useless[] = [];
  const waits = new CheapWaits({
    tariff,
    clock,
    when: 'now',
    hours: () => hours.map(parseHours),
    onUseless: (why) => said.push(why),
  });
  for (let day = 0; day < days; day += 1, clock.set(24 * HOUR)) for (let ask = 0; ask < 3; ask += 1) waits.until(WISH);
  return said;
}

const zoned = (zone: Partial<ZoneTerms>) => zonedTariff(termsOf([{ price_per_kwh: 0.2, ...zone }]));

describe('waiting for cheap electricity is said to change nothing', () => {
  it('where the price stays as it is for longer than is looked ahead', () => {
    expect(told(zoned({ months: 'oct-mar' }))).toEqual(['one price']);
  });

  it('for now, on a day with one price before a cheap weekend, and once in a week', () => {
    expect(told(zoned({ days: 'sat,sun' }), { days: 5 })).toEqual(['not today']);
    expect(told(zoned({ days: 'sat,sun' }), { days: 12 })).toEqual(['not today', 'not today']);
    const friday = Date.parse('2026-07-03T12:00Z');
    expect(told(zoned({ days: 'sat,sun' }), { from: friday, days: 3 })).toEqual([]);
  });

  it('when a season with one price comes, and not while its nights are cheap', () => {
    const winter = zoned({ months: 'oct-mar', hours: '22:00-06:00' });
    expect(told(winter, { from: Date.parse('2026-03-01T12:00Z'), days: 20 })).toEqual([]);
    expect(told(winter, { from: Date.parse('2026-03-01T12:00Z'), days: 60 })).toEqual(['one price']);
  });
});

describe('waiting for cheap electricity is said to last for ever', () => {
  const night = nightOf(null);

  it('where all devices rest in the cheap zone, and not where one of them works for a part of it', () => {
    expect(told(night, { hours: ['08:00-18:00'] })).toEqual(['never']);
    expect(told(night, { hours: ['08:00-18:00', '06:00-22:00'] })).toEqual(['never']);
    expect(told(night, { hours: ['08:00-18:00', '05:00-07:00'] })).toEqual([]);
    expect(told(night, { hours: ['12:00-22:30'] })).toEqual([]);
  });
});
