import { z } from 'zod';

export const limitSettings = z
  .strictObject({
    step_seconds: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Longest time without a finished step before the worker is replaced; not set: by kind of device'),
    load_seconds: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Longest time to load a model; not set: 1200'),
    heartbeat_seconds: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Longest silence of the worker; not set: 30'),
    job_seconds: z
      .number()
      .positive()
      .nullable()
      .default(null)
      .describe('Longest time that one picture may be in the making, loading left out; not set: none'),
    stop_seconds: z
      .number()
      .min(0)
      .default(120)
      .describe('How long a stop waits for the running batch before it gives the batch up'),
  })
  .prefault({})
  .describe('How long the worker may take');

export const workerSettings = z
  .strictObject({
    recycle_pictures: z
      .int()
      .positive()
      .nullable()
      .default(1_000)
      .describe('Pictures after which the worker is replaced by a new one; not set (null): never for their number'),
    recycle_growth_mb: z
      .int()
      .positive()
      .nullable()
      .default(4_096)
      .describe(
        'Megabytes that the memory of the worker may grow before it is replaced; not set (null): never for its memory',
      ),
    idle_unload_seconds: z
      .number()
      .positive()
      .nullable()
      .default(300)
      .describe('Time without work after which the worker ends and frees its card; not set (null): it stays loaded'),
  })
  .prefault({})
  .describe('When a worker is replaced or rests, between two batches');
