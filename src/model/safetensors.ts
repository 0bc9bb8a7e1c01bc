import { open } from 'node:fs/promises';
import { z } from 'zod';
import { modelBroken } from './failure.ts';

/**
 * Looks whether a safetensors file is whole: its header is readable and its tensors end where the file ends.
 * @throws InputError `model_broken`
 */
export async function checkSafetensors(path: string): Promise<void> {
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
  } finally {
    await handle.close();
  }
}

/** The header's length, as a 64-bit number. */
const PREFIX = 8;
/** What the safetensors library itself accepts. */
const MOST_HEADER = 100_000_000;

const tensorSchema = z.object({ data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]) });
const headerSchema = z.object({ __metadata__: z.record(z.string(), z.string()).optional() }).catchall(tensorSchema);

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
