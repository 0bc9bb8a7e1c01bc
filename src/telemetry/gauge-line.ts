import { z } from 'zod';
import type { CounterReading } from '../ports.ts';

const millijoules = z.number().int().min(0);
const processes = z.array(z.object({ pid: z.number().int(), share: z.number().min(0).max(1).nullable() }));

/** What the gauge and a recording tell of a card; a recording may lack the programs, and then nothing is known of them. */
export const nvmlLineSchema = z.object({
  t: z.number(),
  src: z.literal('nvml'),
  uuid: z.string(),
  mj: millijoules.nullable(),
  mw: z.number().min(0).nullable().optional(),
  processes: processes.nullable().optional(),
});
export type NvmlLine = z.infer<typeof nvmlLineSchema>;

export const raplLineSchema = z.object({ t: z.number(), src: z.literal('rapl'), mj: millijoules });

const gaugeLineSchema = z.discriminatedUnion('src', [nvmlLineSchema, raplLineSchema]);

/** A line of `kilnwatt_worker.gauge`; null for anything else. */
export function gaugeLineOf(text: string): z.infer<typeof gaugeLineSchema> | null {
  try {
    return gaugeLineSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

export function counterOf({ t, uuid, mj, processes: listed }: NvmlLine): CounterReading {
  return { kind: 'counter', at: t, gpu: uuid, millijoules: mj, processes: listed ?? null };
}
