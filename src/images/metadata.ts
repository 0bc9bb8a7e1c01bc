import { z } from 'zod';
import { StorageError } from '../errors.ts';
import { requestSchema } from '../job/request.ts';
import type { EnergyReading, ImageFormat, ImageMetadata, Receipt } from '../ports.ts';
import { METHODS } from '../units.ts';
import type { Carrier, Texts } from './carrier.ts';
import { jpeg } from './jpeg.ts';
import { png } from './png.ts';
import { webp } from './webp.ts';

/** The picture with its metadata, as pieces to be written one after the other. Throws StorageError `image_broken`. */
export function embedMetadata(
  file: Buffer,
  format: ImageFormat,
  metadata: ImageMetadata,
  path: string,
): readonly Buffer[] {
  return CARRIERS[format].embed(file, textsOf(metadata), path);
}

/** What one of our pictures says of itself; undefined for a file that is broken or not ours. */
export function readMetadata(file: Buffer, path: string): ImageMetadata | undefined {
  const format = formatOf(file);
  if (format === undefined) return undefined;
  try {
    const { parameters, kilnwatt } = CARRIERS[format].read(file, path);
    const parsed = kilnwattSchema.safeParse(jsonOf(kilnwatt));
    return parsed.success ? { parameters, kilnwatt: parsed.data } : undefined;
  } catch (error) {
    if (error instanceof StorageError && error.code === 'image_broken') return undefined;
    throw error;
  }
}

/** The text of our own chunk, as it stands in the picture and in a `json` sidecar. */
export function kilnwattJson(metadata: ImageMetadata): string {
  return JSON.stringify(metadata.kilnwatt);
}

const CARRIERS: Readonly<Record<ImageFormat, Carrier>> = { png, jpeg, webp };

/** Says, in the words of the IPTC, that a trained model made this picture. */
const XMP = [
  '<?xpacket begin="\uFEFF" id="W5M0MpCehiHzreSzNTczkc9d"?>',
  '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">',
  '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">',
  '<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>',
  '</rdf:Description></rdf:RDF></x:xmpmeta>',
  '<?xpacket end="r"?>',
].join('\n');

const methodSchema = z.enum(METHODS);
const meterSchema = z.enum([
  'nvml_counter',
  'power_integral',
  'rapl',
  'model',
  'none',
] satisfies EnergyReading['meter'][]);

const receiptSchema: z.ZodType<Receipt> = z.object({
  v: z.literal(1),
  provider: z.string(),
  device: z.string(),
  engine: z.string(),
  preset: z.string(),
  settings: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  model: z.string(),
  batch: z.object({ id: z.string(), size: z.number() }),
  seconds: z.object({ share: z.number(), batch: z.number(), method: methodSchema }),
  peak_memory_bytes: z.object({ value: z.number().nullable(), method: methodSchema }),
  energy: z.object({
    joules: z.number().nullable(),
    method: methodSchema,
    meter: meterSchema,
    flags: z.array(z.string()),
    bound_joules: z.number().exactOptional(),
    integral_ratio: z.number().exactOptional(),
  }),
  cost: z.object({ amount: z.number().nullable(), currency: z.string(), method: methodSchema }),
  price: z.string(),
  downgrades: z
    .array(z.object({ setting: z.string(), asked: z.string(), in_effect: z.string(), reason: z.string() }))
    .exactOptional(),
  steps: z.object({ count: z.number(), median_seconds: z.number() }).exactOptional(),
  work: z
    .object({
      teraflops: z.number().nullable(),
      mfu: z.number().nullable(),
      calls: z.number(),
      graphs: z.number(),
      cached_prompts: z.number(),
    })
    .exactOptional(),
  peaks: z
    .object({
      allocated_bytes: z.number().nullable(),
      reserved_bytes: z.number().nullable(),
      device_bytes: z.number().nullable(),
    })
    .exactOptional(),
});

const kilnwattSchema: z.ZodType<ImageMetadata['kilnwatt']> = z.object({
  v: z.literal(1),
  job: z.string(),
  run: z.string(),
  request_key: z.string(),
  request: requestSchema.exactOptional(),
  receipt: receiptSchema,
  software: z.string(),
});

function textsOf(metadata: ImageMetadata): Texts {
  const { request: _, ...short } = metadata.kilnwatt;
  return {
    parameters: metadata.parameters,
    kilnwatt: kilnwattJson(metadata),
    kilnwattShort: JSON.stringify(short),
    software: metadata.kilnwatt.software,
    xmp: XMP,
  };
}

/** By content: a user may have renamed the file. */
function formatOf(file: Buffer): ImageFormat | undefined {
  const head = file.toString('latin1', 0, 12);
  if (head.startsWith('\x89PNG')) return 'png';
  if (head.startsWith('\xff\xd8')) return 'jpeg';
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'webp' : undefined;
}

function jsonOf(text: string | null): unknown {
  if (text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // another program's chunk of the same name; the schema refuses it
  }
}
