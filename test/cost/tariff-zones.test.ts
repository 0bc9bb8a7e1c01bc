import { describe, expect, it } from 'vitest';
import { priceOf, snapshotOf } from '../../src/cost/tariff.ts';
import { zonedTariff } from '../../src/cost/tariff-zones.ts';
import type { ZoneTerms } from '../../src/cost/zone.ts';
import { NIGHT, termsOf } from './terms.ts';

const at = (text: string) => Date.parse(text);
const HOUR = 3_600_000;
const KWH = 3_600_000_000;

/** Parts of a local day, as `from UTC, hours, zone`. */
function dayOf(zones: readonly ZoneTerms[], within: string, rest: Parameters<typeof termsOf>[1] = {}) {
  const tariff = zonedTariff(termsOf(zones, rest));
  return tariff
    .parts(tariff.day(at(within)))
    .map(({ from, to, zone }) => [new Date(from).toISOString().slice(5, 16), (to - from) / HOUR, zone]);
}

describe('zones of a tariff', () => {
  it('set the price by the clock on the wall, over midnight too', () => {
    expect(dayOf([NIGHT], '2026-01-10T12:00:00Z')).toEqual([
      ['01-09T23:00', 6, 0],
      ['01-10T05:00', 16, null],
      ['01-10T21:00', 2, 0],
    ]);
  });

  it('are won by the last that holds, also where an earlier one is cheaper', () => {
    const peak = { price_per_kwh: 0.5, hours: '05:00-07:00' };
    expect(dayOf([NIGHT, peak], '2026-01-10T12:00:00Z').map(([, hours, zone]) => [hours, zone])).toEqual([
      [5, 0],
      [2, 1],
      [15, null],
      [2, 0],
    ]);
    const tariff = zonedTariff(termsOf([NIGHT, peak]));
    expect(tariff.matching(at('2026-01-10T04:30:00Z'))).toEqual([0, 1]);
    expect(tariff.matching(at('2026-01-10T06:30:00Z'))).toEqual([]);
  });

  it('over midnight belong to the day that they begin on', () => {
    const friday = { ...NIGHT, days: 'fri' };
    // The 9th of January 2026 is a Friday.
    expect(dayOf([friday], '2026-01-09T12:00:00Z').map(([, hours, zone]) => [hours, zone])).toEqual([
      [22, null],
      [2, 0],
    ]);
    expect(dayOf([friday], '2026-01-10T12:00:00Z').map(([, hours, zone]) => [hours, zone])).toEqual([
      [6, 0],
      [18, null],
    ]);
  });

  it('over midnight belong to the month that they begin in', () => {
    const winter = { ...NIGHT, months: 'oct-mar' };
    expect(dayOf([winter], '2026-04-01T12:00:00Z').map(([, hours, zone]) => [hours, zone])).toEqual([
      [6, 0],
      [18, null],
    ]);
    expect(dayOf([winter], '2026-10-01T12:00:00Z').map(([, hours, zone]) => [hours, zone])).toEqual([
      [22, null],
      [2, 0],
    ]);
  });

  it('may have several hours', () => {
    const peaks = { price_per_kwh: 0.5, hours: '06:00-08:15,17:00-20:30' };
    expect(dayOf([peaks], '2026-01-10T12:00:00Z').map(([, hours]) => hours)).toEqual([6, 2.25, 8.75, 3.5, 3.5]);
  });
});

describe('a holiday', () => {
  const holidays = ['2026-12-25'];
  const kindOf = (days: string) => dayOf([{ price_per_kwh: 0.5, days }], '2026-12-25T12:00:00Z', { holidays });

  it('is no day of the week: a zone of working days leaves it out', () => {
    // A Friday.
    expect(kindOf('mon-fri')).toEqual([['12-24T23:00', 24, null]]);
  });

  it('is in zones that name it, and in those that name no days', () => {
    expect(kindOf('sat,sun,holiday')).toEqual([['12-24T23:00', 24, 0]]);
    expect(dayOf([NIGHT], '2026-12-25T12:00:00Z', { holidays })).toHaveLength(3);
  });

  it('is a date in the time zone of the tariff, not of UTC', () => {
    const tariff = zonedTariff(
      termsOf([{ price_per_kwh: 0.5, days: 'holiday' }], { holidays, timezone: 'Pacific/Auckland' }),
    );
    expect(tariff.matching(at('2026-12-24T10:59:59Z'))).toEqual([]);
    expect(tariff.matching(at('2026-12-24T11:00:00Z'))).toEqual([0]);
    expect(tariff.matching(at('2026-12-25T11:00:00Z'))).toEqual([]);
  });
});

describe('the changes of the clock', () => {
  it('make a night of seven hours, and one of nine', () => {
    expect(dayOf([NIGHT], '2026-03-29T12:00:00Z')).toEqual([
      ['03-28T23:00', 5, 0],
      ['03-29T04:00', 16, null],
      ['03-29T20:00', 2, 0],
    ]);
    expect(dayOf([NIGHT], '2026-10-25T12:00:00Z')).toEqual([
      ['10-24T22:00', 7, 0],
      ['10-25T05:00', 16, null],
      ['10-25T21:00', 2, 0],
    ]);
  });

  it('leave a zone out that lies in the hour that is skipped', () => {
    expect(dayOf([{ price_per_kwh: 0.1, hours: '02:15-02:45' }], '2026-03-29T12:00:00Z')).toEqual([
      ['03-28T23:00', 23, null],
    ]);
  });

  it('begin a zone late that begins in the hour that is skipped', () => {
    expect(dayOf([{ price_per_kwh: 0.1, hours: '02:30-05:00' }], '2026-03-29T12:00:00Z')).toEqual([
      ['03-28T23:00', 2, null],
      ['03-29T01:00', 2, 0],
      ['03-29T03:00', 19, null],
    ]);
  });

  it('give a zone twice that lies in the hour that comes twice', () => {
    expect(dayOf([{ price_per_kwh: 0.1, hours: '02:15-02:45' }], '2026-10-25T12:00:00Z')).toEqual([
      ['10-24T22:00', 2.25, null],
      ['10-25T00:15', 0.5, 0],
      ['10-25T00:45', 0.5, null],
      ['10-25T01:15', 0.5, 0],
      ['10-25T01:45', 21.25, null],
    ]);
  });

  it('come in April and October in the south', () => {
    const sydney = { timezone: 'Australia/Sydney' };
    expect(dayOf([NIGHT], '2026-04-05T02:00:00Z', sydney).map(([, hours]) => hours)).toEqual([7, 16, 2]);
    expect(dayOf([NIGHT], '2026-10-04T02:00:00Z', sydney).map(([, hours]) => hours)).toEqual([5, 16, 2]);
  });

  it('come at midnight in Chile, and of half an hour on Lord Howe', () => {
    const midnight = { price_per_kwh: 0.1, hours: '00:00-01:00' };
    const santiago = { timezone: 'America/Santiago' };
    expect(dayOf([midnight], '2026-09-06T12:00:00Z', santiago)).toEqual([['09-06T04:00', 23, null]]);
    expect(dayOf([midnight], '2026-04-04T12:00:00Z', santiago)).toEqual([
      ['04-04T03:00', 1, 0],
      ['04-04T04:00', 24, null],
    ]);
    const howe = dayOf([NIGHT], '2026-10-04T02:00:00Z', { timezone: 'Australia/Lord_Howe' });
    expect(howe.map(([, hours]) => hours)).toEqual([5.5, 16, 2]);
  });
});

it('time zones of half and of quarter hours are cut on their own quarter', () => {
  expect(dayOf([NIGHT], '2026-01-10T12:00:00Z', { timezone: 'Asia/Kolkata' })[1]).toEqual(['01-10T00:30', 16, null]);
  expect(dayOf([NIGHT], '2026-01-10T12:00:00Z', { timezone: 'Asia/Kathmandu' })[1]).toEqual(['01-10T00:15', 16, null]);
});

describe('a price', () => {
  it('is (price + charges) × (1 + tax), to the nano-unit', () => {
    const tariff = zonedTariff(termsOf([NIGHT], { chargesPerKwh: 0.0512, taxPercent: 19 }));
    const noon = at('2026-01-10T11:00:00Z');
    const night = at('2026-01-10T22:00:00Z');
    expect(tariff.slices({ from: noon, to: noon + 1 })[0]?.nano).toBe(417_928_000n);
    expect(tariff.slices({ from: night, to: night })[0]?.nano).toBe(298_928_000n);
  });

  it('of a span over a boundary is that of its parts, by their time', () => {
    const tariff = zonedTariff(termsOf([NIGHT]));
    const nine = at('2026-01-10T20:00:00Z');
    expect(priceOf(KWH, tariff, { from: nine, to: nine + 4 * HOUR }).nano).toBe(225_000_000n);
  });

  it('is one slice where two zones have the same', () => {
    const tariff = zonedTariff(termsOf([NIGHT, { price_per_kwh: 0.2, hours: '06:00-22:00' }]));
    const day = tariff.day(at('2026-01-10T12:00:00Z'));
    expect(tariff.parts(day)).toHaveLength(3);
    expect(tariff.slices(day)).toEqual([{ ...day, nano: 200_000_000n }]);
  });
});

it('what is burnt in a zone has a price that was set, also where none was set outside of it', () => {
  const tariff = zonedTariff(termsOf([NIGHT], { assumed: true }));
  const nine = at('2026-01-10T20:00:00Z');
  const methods = [0, 1, 2].map((hours) =>
    tariff.methodIn({ from: nine + hours * HOUR, to: nine + (hours + 1) * HOUR }),
  );
  expect(methods).toEqual(['assumed', 'measured', 'measured']);
  expect(tariff.methodIn({ from: nine, to: nine + 2 * HOUR })).toBe('assumed');
});

describe('the name of a tariff', () => {
  const idOf = (...parts: Parameters<typeof termsOf>) => zonedTariff(termsOf(...parts)).id;

  it('is flat and readable without zones, and a hash of all that sets a price with them', () => {
    expect(idOf([])).toBe('flat:0.3:EUR:config');
    expect(idOf([], { assumed: true })).toBe('flat:0.3:EUR:default');
    expect(idOf([], { chargesPerKwh: 0.05, taxPercent: 19 })).toMatch(/^flat:0\.4165:EUR:config:[\da-f]{12}$/);
    expect(idOf([NIGHT])).toMatch(/^zones:[\da-f]{12}$/);
  });

  it('is the same for the same prices, and another for others', () => {
    const { hours, name, price_per_kwh } = NIGHT;
    expect(idOf([{ hours, price_per_kwh, name }])).toBe(idOf([NIGHT]));
    expect(idOf([NIGHT], { holidays: ['2026-01-01', '2026-12-25'] })).toBe(
      idOf([NIGHT], { holidays: ['2026-12-25', '2026-01-01'] }),
    );
    const others = [
      idOf([NIGHT]),
      idOf([{ ...NIGHT, days: 'mon' }]),
      idOf([NIGHT], { timezone: 'UTC' }),
      idOf([NIGHT], { taxPercent: 7 }),
      idOf([NIGHT], { pricePerKwh: 0.31 }),
      idOf([NIGHT, NIGHT]),
    ];
    expect(new Set(others).size).toBe(others.length);
  });

  it('is kept with the prices behind it', () => {
    const snapshot = snapshotOf(zonedTariff(termsOf([NIGHT])), 5);
    expect(snapshot).toMatchObject({ id: idOf([NIGHT]), at: 5, source: 'config' });
    expect(JSON.parse(snapshot.body)).toEqual({
      assumed: false,
      charges_per_kwh: 0,
      currency: 'EUR',
      holidays: [],
      price_per_kwh: 0.3,
      tax_percent: 0,
      timezone: 'Europe/Berlin',
      zones: [NIGHT],
    });
    expect(snapshotOf(zonedTariff(termsOf([], { assumed: true })), 5).source).toBe('default');
  });
});
