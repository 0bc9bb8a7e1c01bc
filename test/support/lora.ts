import { writeFileSync } from 'node:fs';

/** Writes a LoRA of rank 1 for one layer of the tiny Stable Diffusion model. */
export function writeTinyLora(path: string): void {
  const layer = 'unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_v';
  const values = Float32Array.from({ length: 32 }, (_, at) => Math.sin(at + 1));
  const bytes = values.byteLength;
  const header = JSON.stringify({
    [`${layer}.lora_A.weight`]: { dtype: 'F32', shape: [1, 32], data_offsets: [0, bytes] },
    [`${layer}.lora_B.weight`]: { dtype: 'F32', shape: [32, 1], data_offsets: [bytes, 2 * bytes] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.from(values.buffer);
  writeFileSync(path, Buffer.concat([length, Buffer.from(header), data, data]));
}
