import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pricesOf } from '../../src/cli/prices.ts';
import { type TariffShowOptions, tariffShow } from '../../src/cli/tariff-show.ts';
import { type TariffTestOptions, tariffTest } from '../../src/cli/tariff-test.ts';
import { loadConfig } from '../../src/config.ts';
import { zonedTariff } from '../../src/cost/tariff-zones.ts';
import { InputError } from '../../src/errors.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { keptIo } from './kept-io.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilnwatt-tariff-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const ZONED = `
tariff:
  price_per_kwh: 0.30
  timezone: Europe/Berlin
  charges_per_kwh: 0.05
  tax_percent: 19
  fixed_per_month: 12.5
  holidays: [2026-12-25]
  zones:
    - { name: night, price_per_kwh: 0.20, hours: "22:00-06:00" }
    - { name: peak, price_per_kwh: 0.45, hours: "17:00-20:30", days: mon-fri }
    - { price_per_kwh: 0.18, hours: "11:00-15:00", days: "sun,holiday" }
`;
const FLAT = 'tariff: { price_per_kwh: 0.32, timezone: UTC }\n';
/** A Tuesday. */
const NOON = Date.parse('2026-11-03T11:00:00Z');

function placed(yaml: string, env: Record<string, string> = { LANG: 'C.UTF-8' }) {
  writeFileSync(join(folder, 'kilnwatt.yaml'), yaml);
  const io = keptIo();
  const clock = new ManualClock();
  clock.advance(NOON - clock.now());
  return { io, clock, loaded: loadConfig({ cwd: folder, env: { HOME: folder, ...env } }) };
}

function shown(yaml: string, options: TariffShowOptions = {}) {
  const place = placed(yaml);
  expect(tariffShow(place, options)).toBe(0);
  return place.io.written;
}

function tested(yaml: string, options: TariffTestOptions) {
  const place = placed(yaml);
  expect(tariffTest(place, options)).toBe(0);
  return place.io;
}

const json = (lines: readonly string[]) => JSON.parse(lines[0] ?? '');

describe('tariff show', () => {
  it('gives today and tomorrow with the cheapest marked, a bar of the day, and what prices are made of', () => {
    const lines = shown(ZONED);
    expect(lines.slice(1, 11)).toEqual([
      'Now (2026-11-03T12:00+01:00): 0.4165; cheap from 2026-11-03T22:00+01:00',
      '',
      'Tuesday 2026-11-03',
      '  00:00  06:00  0.2975  night  cheapest',
      '  06:00  17:00  0.4165  base',
      '  17:00  20:30  0.595   peak',
      '  20:30  22:00  0.4165  base',
      '  22:00  24:00  0.2975  night  cheapest',
      '  ▁▁▁▁▁▁▁▁▁▁▁▁▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄███████▄▄▄▁▁▁▁',
      '  0           6           12          18',
    ]);
    expect(lines).toContain('Wednesday 2026-11-04');
    expect(lines).toContain('  peak      (0.45 + 0.05) × 1.19 = 0.595   17:00-20:30, mon-fri');
    expect(lines.at(-1)).toBe("Fixed: 12.50 EUR a month, in cash and full cost, in no picture's own electricity");
  });

  it('says of a day on which the clock is set how long it is, with offsets at its times', () => {
    const lines = shown(ZONED, { date: '2026-03-29' });
    expect(lines).toContain('Sunday 2026-03-29, 23 h');
    expect(lines).toContain('  11:00+02:00  15:00+02:00  0.2737  zones[2]  cheapest');
    expect(lines.find((line) => line.includes('▁'))?.trim()).toHaveLength(46);
    expect(shown(ZONED, { date: '2026-10-25' })).toContain('Sunday 2026-10-25, 25 h');
  });

  it('is plain ASCII on a terminal whose language has no more', () => {
    const place = placed(ZONED, {});
    tariffShow(place, {});
    tariffTest(place, { at: 'now' });
    const lines = place.io.written;
    expect(lines.filter((line) => !/^[ -~]*$/.test(line))).toEqual([]);
    expect(lines).toContain('  ____________----------------------#######---____');
    expect(lines).toContain('  peak      (0.45 + 0.05) x 1.19 = 0.595   17:00-20:30, mon-fri');
  });

  it('prints sums of prices that hold as they stand there', () => {
    const lines = shown('tariff: { price_per_kwh: 0.2135, charges_per_kwh: 0.0517, tax_percent: 19, timezone: UTC }\n');
    expect(lines).toContain('  base  (0.2135 + 0.0517) × 1.19 = 0.315588  where no zone holds');
  });

  it('marks nothing as the cheapest where a day has one price', () => {
    const lines = shown(FLAT);
    expect(lines).toContain('  00:00  24:00  0.32  base');
    expect(lines.join('\n')).not.toContain('cheapest');
    expect(lines[1]).toBe('Now (2026-11-03T11:00+00:00): 0.32');
    expect(lines).toContain('  base  0.32  where no zone holds');
  });

  it('marks what no price of the next 24 hours undercuts, as --when cheap has it, and cuts a row where that ends', () => {
    const weekend = '[{ name: we, price_per_kwh: 0.22, days: "sat,sun", hours: "22:00-06:00" }]';
    const yaml = `tariff: { price_per_kwh: 0.34, timezone: Europe/Berlin, zones: ${weekend} }\n`;
    const lines = shown(yaml, { date: '2026-11-06' });
    expect(lines.slice(2, 5)).toEqual([
      'Friday 2026-11-06',
      '  00:00  22:00  0.34  base  cheapest',
      '  22:00  24:00  0.34  base',
    ]);
    expect(lines).toContain('  22:00  24:00  0.22  we    cheapest');
    expect(lines).toContain('cheapest: no price of the 24 hours after it is lower; then --when cheap makes pictures');
    expect(shown(yaml)[1]).toBe(
      'Now (2026-11-03T12:00+01:00): 0.34, no lower one in the next 24 hours; cheap from 2026-11-07T22:00+01:00',
    );
  });

  it('says that the price is assumed, with the line that sets it', () => {
    expect(shown('').at(-1)).toMatch(/^~ 0\.30 EUR per kWh is assumed; set yours in .*kilnwatt\.yaml: "tariff: /);
  });

  it('says nothing of an assumed price where the zones leave no time to it', () => {
    const zones =
      '{ name: day, price_per_kwh: 0.4, hours: "06:00-22:00" }, { name: night, price_per_kwh: 0.2, hours: "22:00-06:00" }';
    const lines = shown(`tariff: { timezone: UTC, zones: [${zones}] }\n`);
    expect(lines.join('\n')).not.toMatch(/assumed|base/);
    expect(shown(`tariff: { timezone: UTC, zones: [${zones.split(' }, ')[0]} }] }\n`).at(-1)).toMatch(
      /^~ 0\.30 EUR per kWh is assumed outside of all zones; set yours/,
    );
  });

  it('says that a list of holidays was not kept up', () => {
    expect(shown(ZONED, { date: '2027-01-10' }).at(-1)).toBe(
      '! a zone holds on holidays, and tariff.holidays lists none of 2027',
    );
    expect(shown(ZONED).join('\n')).not.toContain('lists none');
  });

  it('has all of it in JSON', () => {
    const answer = json(shown(ZONED, { date: '2026-10-25', json: true }));
    expect(answer).toMatchObject({
      id: expect.stringMatching(/^zones:/),
      currency: 'EUR',
      method: 'measured',
      timezone: 'Europe/Berlin',
      fixed_per_month: 12.5,
      cheap_now: false,
      next_cheap: '2026-11-03T22:00+01:00',
    });
    expect(answer.prices[0]).toEqual({ zone: 'base', price_per_kwh: 0.3, all_in_per_kwh: 0.4165 });
    expect(answer.days[0]).toMatchObject({ date: '2026-10-25', hours: 25 });
    expect(answer.days[0].slices[0]).toEqual({
      from: '2026-10-25T00:00+02:00',
      to: '2026-10-25T06:00+01:00',
      zone: 'night',
      all_in_per_kwh: 0.2975,
      cheapest: false,
    });
  });

  it('refuses what is no date', () => {
    expect(() => tariffShow(placed(FLAT), { date: '29.3.2026' })).toThrow(InputError);
  });
});

describe('tariff test', () => {
  it('says which zones hold at a time, and that the last wins', () => {
    expect(tested(ZONED, { at: '2026-12-25T12:00' }).written).toEqual([
      'Friday 2026-12-25T12:00+01:00, by the clock of Europe/Berlin',
      'One zone holds: zones[2] (11:00-15:00, sun,holiday)',
      'zones[2]: (0.18 + 0.05) × 1.19 = 0.2737 EUR a kilowatt-hour',
    ]);
    const both = ZONED.replace('17:00-20:30', '05:00-20:30');
    const lines = tested(both, { at: '2026-11-03 05:30', kwh: '2' }).written;
    expect(lines[1]).toBe('2 zones hold, and the last wins: night (22:00-06:00), peak (05:00-20:30, mon-fri)');
    expect(lines[3]).toBe('2.00 kWh cost 1.19 EUR');
    expect(tested(ZONED, { at: 'now' }).written[1]).toBe('No zone holds, so the base price does');
  });

  it('takes a time with an offset wherever the tariff is', () => {
    expect(json(tested(ZONED, { at: '2026-11-03T05:30Z', json: true }).written)).toMatchObject({
      at: '2026-11-03T06:30+01:00',
      holding: [],
      zone: 'base',
      all_in_per_kwh: 0.4165,
    });
    expect(json(tested(ZONED, { at: '2026-11-03T00:30-05:00', json: true }).written).at).toBe('2026-11-03T06:30+01:00');
  });

  it('says of a time that comes twice, or never, which one is taken', () => {
    const twice = tested(ZONED, { at: '2026-10-25T02:30' });
    expect(twice.errors).toEqual([
      '! 2026-10-25T02:30 comes twice on the clock of Europe/Berlin; 2026-10-25T02:30+02:00 is taken; ' +
        'the other is 2026-10-25T02:30+01:00',
    ]);
    const never = json(tested(ZONED, { at: '2026-03-29T02:30', json: true }).written);
    expect(never).toMatchObject({
      at: '2026-03-29T03:00+02:00',
      notes: [expect.stringContaining('is skipped on the clock of Europe/Berlin')],
    });
  });

  it('cuts a span where the price changes, and its parts add up to the whole', () => {
    const { written } = tested(ZONED, { from: '2026-10-24T21:00', to: '2026-10-25T12:00', kwh: '3' });
    expect(written).toEqual([
      '16 h, by the clock of Europe/Berlin',
      '  2026-10-24T21:00+02:00  2026-10-24T22:00+02:00  1 h  0.4165  base      0.188 kWh  0.0781 EUR',
      '  2026-10-24T22:00+02:00  2026-10-25T06:00+01:00  9 h  0.2975  night     1.69 kWh   0.502 EUR',
      '  2026-10-25T06:00+01:00  2026-10-25T11:00+01:00  5 h  0.4165  base      0.938 kWh  0.390 EUR',
      '  2026-10-25T11:00+01:00  2026-10-25T12:00+01:00  1 h  0.2737  zones[2]  0.188 kWh  0.0513 EUR',
      '3.00 kWh, burnt evenly, cost 1.02 EUR',
    ]);
    const answer = json(tested(ZONED, { from: '2026-11-03T21:00', to: '2026-11-03T23:00', json: true }).written);
    expect(answer.cost).toEqual({ kwh: 1, amount: 0.357, currency: 'EUR', method: 'measured' });
    expect(answer.parts.map(({ cost }: { cost: { amount: number } }) => cost.amount)).toEqual([0.20825, 0.14875]);
  });

  it('marks a cost by a price that is assumed', () => {
    expect(tested('', { at: 'now', kwh: '1' }).written.at(-1)).toBe('1.00 kWh cost ~0.300 EUR');
  });

  it.each([
    [{}, 'says no time'],
    [{ from: '2026-11-03' }, '--to: is missing'],
    [{ to: '2026-11-03' }, '--from: is missing'],
    [{ at: 'now', to: '2026-11-03' }, 'is one moment'],
    [{ at: '12:00' }, 'or a time as 2026-11-30T14:00'],
    [{ at: '2026-02-30T12:00' }, 'needs a date as'],
    [{ from: '2026-11-03', to: '2026-11-03' }, 'must be later than --from'],
    [{ from: '2026-11-03', to: '2028-11-03' }, 'is more than 366 days'],
    [{ at: 'now', kwh: 'much' }, 'needs kilowatt-hours as 1.5'],
    [{ at: 'now', kwh: '-1' }, 'needs kilowatt-hours as 1.5'],
  ])('refuses %j', (options, sentence) => {
    expect(() => tariffTest(placed(ZONED), options)).toThrow(InputError);
    expect(() => tariffTest(placed(ZONED), options)).toThrow(sentence);
  });
});

it('energy is priced with the tariff of the configuration', () => {
  const { config } = placed(ZONED).loaded;
  expect(pricesOf(config).tariff.id).toBe(zonedTariff(config.tariff).id);
});
