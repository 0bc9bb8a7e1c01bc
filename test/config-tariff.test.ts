import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../src/config.ts';
import { ConfigError } from '../src/errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-tariff-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function load(yaml: string, env: Record<string, string> = {}) {
  writeFileSync(join(folder, 'kilnwatt.yaml'), yaml);
  return loadConfig({ cwd: folder, env: { HOME: folder, ...env } });
}

function refusalOf(yaml: string, env?: Record<string, string>): string {
  try {
    load(yaml, env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.replace(`${join(folder, 'kilnwatt.yaml')}:`, '');
  }
  throw new Error('it was accepted');
}

const ZONES = `
tariff:
  price_per_kwh: 0.30
  timezone: Europe/Berlin
  holidays: [2026-12-25, 2026-12-26]
  zones:
    - name: night
      price_per_kwh: 0.20
      hours: 22:00-06:00
    - price_per_kwh: 0.45
      hours: 06:00-08:15,17:00-20:30
      days: mon-fri
      months: oct-mar
`;

it('a tariff may stand in several lines', () => {
  expect(load(ZONES).config.tariff).toMatchObject({
    timezone: 'Europe/Berlin',
    holidays: ['2026-12-25', '2026-12-26'],
    zones: [
      { name: 'night', price_per_kwh: 0.2, hours: '22:00-06:00' },
      { price_per_kwh: 0.45, hours: '06:00-08:15,17:00-20:30', days: 'mon-fri', months: 'oct-mar' },
    ],
  });
});

describe('a tariff that cannot be used', () => {
  it.each([
    [
      'hours',
      'hours: 22:00-06:00',
      'hours: 22-6',
      '9:14: tariff.zones[0].hours cannot be "22-6": expected 22:00-07:00',
    ],
    [
      'days',
      'days: mon-fri',
      'days: workdays',
      '12:13: tariff.zones[1].days cannot be "workdays": expected days as mon-fri',
    ],
    [
      'months',
      'months: oct-mar',
      'months: 10-3',
      '13:15: tariff.zones[1].months cannot be "10-3": expected months as oct-mar',
    ],
    ['a holiday', '2026-12-26', '2026-12-32', '5:26: tariff.holidays[1] cannot be "2026-12-32": expected a date'],
    [
      'a time zone',
      'Europe/Berlin',
      'Europe/Berln',
      '4:13: tariff.timezone cannot be "Europe/Berln": expected the name',
    ],
    [
      'a price',
      '0.45',
      '0,45',
      '10:22: tariff.zones[1].price_per_kwh cannot be "0,45": expected a number with a point, as 0.34',
    ],
    [
      'a list of days',
      'mon-fri',
      '[sat, sun]',
      'cannot be ["sat","sun"]: expected one text and no list, as mon-fri or "sat,sun"',
    ],
    ['a zone without a price', 'price_per_kwh: 0.45', 'name: peak', '10:7: tariff.zones[1].price_per_kwh is missing'],
    ['an unknown name', 'months:', 'month:', 'tariff.zones[1].month is not a setting; did you mean months?'],
  ])('is refused for %s, with its place', (_, good, bad, sentence) => {
    expect(ZONES).toContain(good);
    expect(refusalOf(ZONES.replace(good, bad))).toContain(sentence);
  });

  it('is refused for what is no list', () => {
    expect(refusalOf('tariff: { zones: night }\n')).toContain('tariff.zones cannot be "night": expected array');
  });
});

it('rates of currencies name the one that is wrong', () => {
  const rates = (text: string) => `report: { rates: { ${text} } }\n`;
  expect(refusalOf(rates('USD: { rate: 0, date: 2026-11-02, source: ECB }'))).toContain(
    'report.rates.USD.rate cannot be 0',
  );
  expect(refusalOf(rates('usd: { rate: 1, date: 2026-11-02, source: ECB }'))).toContain(
    'report.rates cannot name "usd": expected three capital letters',
  );
});

it('a country that nothing is known of is refused with those that are known, in a variable too', () => {
  expect(load('carbon: { country: de }\n').config.carbon.country).toBe('de');
  expect(refusalOf('', { KILNWATT_CARBON_COUNTRY: 'AT' })).toMatch(
    /^KILNWATT_CARBON_COUNTRY: .*"AT": expected one of AU, CA/,
  );
});

describe('a price that nobody set', () => {
  const day = '{ price_per_kwh: 0.4, hours: "06:00-22:00" }';
  const night = '{ price_per_kwh: 0.2, hours: "22:00-06:00" }';
  const assumed = (zones: string, rest = '') => load(`tariff: { zones: [${zones}]${rest} }\n`).config.tariff.assumed;

  it('is assumed where zones leave a gap, and not where one of them always holds', () => {
    expect(assumed(night)).toBe(true);
    expect(assumed(`${day}, ${night}`)).toBe(false);
    const winter = night.replace(' }', ', months: oct-mar }');
    expect(assumed(`${day}, ${winter}`)).toBe(true);
    expect(assumed(`${day}, ${winter}, ${night.replace(' }', ', months: apr-sep }')}`)).toBe(false);
  });

  it('is assumed on holidays that no zone names, if there are any', () => {
    const week = `${day.replace(' }', ', days: mon-sun }')}, ${night}`;
    expect(assumed(week)).toBe(false);
    expect(assumed(week, ', holidays: [2026-12-25]')).toBe(true);
    expect(assumed(week.replace('mon-sun', '"mon-sun,holiday"'), ', holidays: [2026-12-25]')).toBe(false);
    // The morning after a holiday belongs to the holiday's night.
    const nights = `${day}, ${night.replace(' }', ', days: mon-sun }')}`;
    expect(assumed(nights, ', holidays: [2026-12-25]')).toBe(true);
  });
});
