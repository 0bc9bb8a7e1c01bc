import { z } from 'zod';

export const energySettings = z
  .strictObject({
    cpu_watts: z
      .number()
      .positive()
      .default(65)
      .describe('Power of the CPU at work, in watts, for pictures made without a GPU'),
    gpu_watts: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Power of a GPU at work, in watts, where no meter answers; not set: 300 is assumed'),
  })
  .prefault({})
  .describe('Assumed power where nothing can be measured');

export const tariffSettings = z
  .strictObject({
    price_per_kwh: z
      .number()
      .min(0)
      .nullable()
      .default(null)
      .describe('Price of a kilowatt-hour; not set: 0.30 is assumed and flagged'),
    currency: z
      .string()
      .regex(/^[A-Z]{3}$/, 'expected three capital letters, as in EUR')
      .default('EUR')
      .describe('ISO 4217 code'),
  })
  .prefault({})
  .describe('What electricity costs');
