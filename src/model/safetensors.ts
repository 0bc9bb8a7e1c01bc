import { open } from 'node:fs/promises';
import { z } from 'zod';
import type { Anatomy } from '../preset/anatomy.ts';
import type { Bytes } from '../units.ts';
import { modelBroken } from './failure.ts';

/** What the head of a file tells of its weights. */
export interface Contents {
  readonly bytes: Bytes;
  readonly parameters: number;
  /** Those that are weights of linear layers, and not of embeddings. */
  readonly linear: number;
  /** Of most parameters. */
  readonly dtype: Anatomy['fileDtype'];
}

/**
 * Looks whether a safetensors file is whole: its header is readable and its tensors end where the file ends.
 * @throws InputError `model_broken`
 */
export async function checkSafetensors(path: string): Promise<Contents> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const length =
      size < PREFIX ? Number.POSITIVE_INFINITY : Number((await bytesOf(handle, 0, PREFIX)).readBigUInt64LE());
    if (length > MOST_HEADER || PREFIX + length > size) throw modelBroken(path, 'the file is cut short');
    const header = headerSchema.safeParse(parsed((await bytesOf(handle, PREFIX, length)).toString('utf8')));
    if (!header.success) throw modelBroken(path, 'its header is not that of a safetensors file');
    const { __metadata__: _, ...tensors } = header.data;
    const end = Object.values(tensors).reduce((most, tensor) => Math.max(most, endOf(tensor)), 0);
    if (PREFIX + length + end !== size) throw modelBroken(path, 'the file is cut short');
    return { bytes: size, ...countsOf(tensors) };
  } finally {
    await handle.close();
  }
}

/** The header's length, as a 64-bit number. */
const PREFIX = 8;
/** What the safetensors library itself accepts. */
const MOST_HEADER = 100_000_000;

const whole = z.number().int().min(0);
const tensorSchema = z.object({
  dtype: z.string().default(''),
  shape: z.array(whole).default([]),
  data_offsets: z.tuple([whole, whole]),
});
/** Tables that are looked up and not multiplied with. */
const TABLE = /(^|[._])(embedding|embeddings|shared|embed_tokens|relative_attention_bias)\.weight$/;
/** Positions and the like, which are no parameters. */
const WHOLE_NUMBERS = /^(I|U|BOOL)/;
const headerSchema = z.object({ __metadata__: z.record(z.string(), z.string()).optional() }).catchall(tensorSchema);

function countsOf(tensors: Readonly<Record<string, z.infer<typeof tensorSchema>>>): Omit<Contents, 'bytes'> {
  const counted = Object.entries(tensors)
    .filter(([, { dtype }]) => !WHOLE_NUMBERS.test(dtype))
    .map(([name, { dtype, shape }]) => ({
      size: shape.reduce((product, side) => product * side, 1),
      linear: shape.length === 2 && name.endsWith('.weight') && !TABLE.test(name),
      dtype: DTYPES[dtype] ?? 'other',
    }));
  const sizeOf = (wanted: (tensor: (typeof counted)[number]) => boolean): number =>
    counted.filter(wanted).reduce((sum, { size }) => sum + size, 0);
  const parameters = sizeOf(() => true);
  const most = Object.values(DTYPES).find((name) => 2 * sizeOf(({ dtype }) => dtype === name) > parameters);
  return { parameters, linear: sizeOf(({ linear }) => linear), dtype: most ?? 'other' };
}

const DTYPES: Readonly<Record<string, Anatomy['fileDtype']>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

function endOf(tensor: z.infer<typeof tensorSchema> | undefined): number {
  return tensor?.data_offsets[1] ?? 0;
}

async function bytesOf(handle: Awaited<ReturnType<typeof open>>, from: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, from);
  return buffer.subarray(0, bytesRead);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the schema refuses it
  }
}
