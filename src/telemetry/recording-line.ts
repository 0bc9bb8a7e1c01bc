import { z } from 'zod';
import type { EpochMillis } from '../units.ts';
import { nvmlLineSchema, raplLineSchema } from './gauge-line.ts';

/** The lines of a recording after its first, told apart by `src`; `t` is Unix time in milliseconds. */
const t = z.number();
export const recordingLineSchema = z.discriminatedUnion('src', [
  z.object({ t, src: z.literal('smi'), row: z.string() }),
  /** Rows from here on have these fields: nvidia-smi was another one when it was started again. */
  z.object({ t, src: z.literal('fields'), fields: z.array(z.string()) }),
  nvmlLineSchema,
  raplLineSchema,
  z.object({ t, src: z.literal('plug'), w: z.number().nullable(), wh: z.number().nullable() }),
  z.object({
    t,
    src: z.literal('lost'),
    source: z.enum(['nvidia-smi', 'nvml', 'plug', 'rapl']),
    reason: z.string(),
  }),
  z.object({ t, src: z.literal('mark'), what: z.string() }),
]);
export type RecordingLine = z.infer<typeof recordingLineSchema>;

const machineSchema = z.object({
  host: z.object({ os: z.string(), kernel: z.string(), virtual: z.boolean().nullable() }),
  cpu: z.object({ name: z.string(), cores: z.number(), threads: z.number() }),
  memory: z.number(),
});

/** The first line. Recordings of `gpu-proof` have their card in `card`, and no version. */
export const headSchema = z.object({
  kilnwatt: z.literal('telemetry').optional(),
  v: z.literal(1, { error: 'it is of a version that this kilnwatt does not read' }).optional(),
  fields: z.array(z.string()),
  uuids: z.array(z.string().nullable()),
  names: z.array(z.string()).optional(),
  driver: z.string().nullable().optional(),
  started: z.number().nullable().optional(),
  machine: machineSchema.optional(),
  card: z.object({ name: z.string(), driver: z.string().nullable().optional() }).optional(),
  date: z.string().optional(),
});

/** What a recording says of itself. */
export interface RecordingMetadata {
  /** Of the rows of nvidia-smi, in the order of their cells. */
  readonly fields: readonly string[];
  readonly driver: string | null;
  readonly uuids: readonly string[];
  /** Of the cards, in the order of `uuids`. */
  readonly names: readonly string[];
  readonly started: EpochMillis | null;
  /** The host that was recorded; null where nothing is said of it. */
  readonly machine: z.infer<typeof machineSchema> | null;
}

export function metadataFrom(head: z.infer<typeof headSchema>): RecordingMetadata {
  const uuids = head.uuids.filter((uuid) => uuid !== null);
  const started = head.started ?? (head.date === undefined ? null : Date.parse(head.date));
  return {
    fields: head.fields,
    driver: head.driver ?? head.card?.driver ?? null,
    uuids,
    names: head.names ?? uuids.map(() => head.card?.name ?? 'NVIDIA'),
    started: Number.isNaN(started) ? null : started,
    machine: head.machine ?? null,
  };
}

export function headOf({ fields, driver, uuids, names, started, machine }: RecordingMetadata): object {
  const told = { kilnwatt: 'telemetry', v: 1, fields, driver, uuids, names, started };
  return machine === null ? told : { ...told, machine };
}
