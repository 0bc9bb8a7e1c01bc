import { z } from 'zod';
import { complaining } from './config-complaint.ts';
import { countryFault } from './cost/carbon.ts';
import { timezoneFault } from './cost/local-time.ts';
import { dateFault, daysFault, monthsFault } from './cost/zone-days.ts';
import { hoursFault } from './hours.ts';

const currency = z.string().regex(/^[A-Z]{3}$/, 'expected three capital letters, as in EUR');
const price = z.number('expected a number with a point, as 0.34').min(0);
const date = z.string().superRefine(complaining(dateFault));

export const energySettings = z
  .strictObject({
    cpu_watts: z
      .number()
      .positive()
      .default(65)
      .describe('Power of the CPU at work, in watts, for pictures made without a GPU, where no meter answers'),
    gpu_watts: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Power of a GPU at work, in watts, where no meter answers; not set: 300 is assumed'),
    supply_efficiency: z
      .number()
      .min(0.5)
      .max(1)
      .nullable()
      .default(null)
      .describe(
        'What the power supply passes on of what it takes from the wall, 0.5 to 1; not set: nothing at the wall is told',
      ),
    host_watts: z
      .number()
      .min(0)
      .nullable()
      .default(null)
      .describe(
        'What the rest of the host draws behind the supply, in watts; `telemetry calibrate` finds both with a plug',
      ),
    plug_url: z
      .url({ protocol: /^https?$/, error: 'expected an address, as http://192.168.1.20' })
      .nullable()
      .default(null)
      .describe('A smart plug that this host hangs on; not set: none'),
    plug_kind: z
      .enum(['shelly', 'shelly_gen1', 'tasmota', 'home_assistant'])
      .default('shelly')
      .describe('What the plug speaks; for Home Assistant the address is that of a sensor, …/api/states/sensor.NAME'),
    plug_token: z.string().min(1).nullable().default(null).describe('Token of Home Assistant, or password of the plug'),
  })
  .prefault({})
  .describe('What is assumed where nothing is measured, and what is known of the wall');

export const zoneSchema = z.strictObject({
  name: z.string().min(1).optional(),
  price_per_kwh: price,
  hours: z.string('expected hours in quotes, as "22:00-06:00"').superRefine(complaining(hoursFault)).optional(),
  days: z
    .string('expected one text and no list, as mon-fri or "sat,sun"')
    .superRefine(complaining(daysFault))
    .optional(),
  months: z
    .string('expected one text and no list, as oct-mar or "jun,jul"')
    .superRefine(complaining(monthsFault))
    .optional(),
});

export const tariffSettings = z
  .strictObject({
    price_per_kwh: price
      .nullable()
      .default(null)
      .describe('Price of a kilowatt-hour outside of all zones; not set: 0.30 is assumed and flagged'),
    currency: currency.default('EUR').describe('ISO 4217 code'),
    timezone: z
      .string()
      .superRefine(complaining(timezoneFault))
      .nullable()
      .default(null)
      .describe('Whose clock the zones go by, as Europe/Berlin; not set: that of this host'),
    zones: z
      .array(zoneSchema)
      .nullable()
      .default(null)
      .describe(
        'Other prices, the last that fits wins: [{ name: night, price_per_kwh: 0.2, hours: "22:00-06:00", days: "mon-fri", ' +
          'months: "oct-mar" }]; hours over midnight belong to the day that they begin on',
      ),
    holidays: z
      .array(date)
      .nullable()
      .default(null)
      .describe(
        'Dates in that time zone that count as "holiday" in the days of a zone, and not as their day of the week',
      ),
    charges_per_kwh: price.default(0).describe('What is added to each kilowatt-hour before tax: grid, levies'),
    tax_percent: price.max(100).default(0).describe('Tax on price and charges; 0 where the prices hold it'),
    fixed_per_month: price
      .default(0)
      .describe(
        "What a month of the connection costs, with tax; counts in cash and full cost, in no picture's own electricity",
      ),
  })
  .prefault({})
  .describe('What electricity costs');

export const carbonSettings = z
  .strictObject({
    grams_per_kwh: z.number().min(0).nullable().default(null).describe('Grams of CO2 of a kilowatt-hour'),
    country: z
      .string()
      .superRefine(complaining(countryFault))
      .nullable()
      .default(null)
      .describe('Two letters, as DE, or world: takes the mean of a built-in table where grams_per_kwh is not set'),
  })
  .prefault({})
  .describe('Grams of CO2, an estimate; not set: none are told');

export const rateSchema = z.strictObject({ rate: z.number().positive(), date, source: z.string().min(1) });

const hardwareSchema = z
  .strictObject({
    price: price,
    currency: currency.optional(),
    bought: date,
    months: z.int().positive().default(36),
    resale: price.default(0),
  })
  .superRefine(({ price: paid, resale }, context) => {
    if (resale > paid) context.addIssue({ code: 'custom', path: ['resale'], message: 'expected at most the price' });
  });

export const reportSettings = z
  .strictObject({
    currency: currency.nullable().default(null).describe('What reports sum in; not set: that of the tariff'),
    rates: z
      .record(currency, rateSchema)
      .nullable()
      .default(null)
      .describe('What one unit of another currency is worth: { USD: { rate: 0.92, date: 2026-11-02, source: "ECB" } }'),
    hardware: z
      .array(hardwareSchema, { error: 'expected a list, as [{ price: 1600, bought: 2026-03-01 }]' })
      .nullable()
      .default(null)
      .describe(
        'What host and cards cost, for the full cost: [{ price: 1600, bought: 2026-03-01, months: 36, resale: 700 }]; ' +
          'without months it is 36, without resale nothing comes back',
      ),
  })
  .prefault({})
  .describe('How reports are put together');

export const whenSetting = z
  .enum(['now', 'cheap'])
  .default('now')
  .describe('When bulk jobs are made: now, or only while no price of the next 24 hours is lower (cheap)');
