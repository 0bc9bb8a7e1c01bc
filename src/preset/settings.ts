import { z } from 'zod';

/**
 * What a preset sets, under the names that it has in the catalogue, in the configuration and on the wire; what each
 * field does is told in `techniques.json`. The defaults are the neutral values: a technique that is not used.
 */
export const presetSettingsSchema = z.strictObject({
  dtype: z.enum(['auto', 'float32', 'float16', 'bfloat16']).default('auto'),
  vae_dtype: z.enum(['auto', 'float32', 'float16', 'bfloat16']).default('auto'),
  tf32: z.boolean().default(false),
  fp16_accumulation: z.boolean().default(false),
  attention: z
    .enum(['sdpa', 'sdpa_flash', 'sdpa_efficient', 'sdpa_cudnn', 'sdpa_math', 'sliced', 'xformers', 'flash', 'sage'])
    .default('sdpa'),
  fused_qkv: z.boolean().default(false),
  offload: z.enum(['none', 'text_encoders', 'model', 'group', 'sequential']).default('none'),
  vae_slicing: z.boolean().default(false),
  vae_tiling: z.boolean().default(false),
  allocator: z.enum(['default', 'expandable']).default('default'),
  channels_last: z.boolean().default(false),
  compile: z.enum(['none', 'full', 'regional', 'tensorrt']).default('none'),
  compile_mode: z.enum(['default', 'reduce-overhead', 'max-autotune', 'max-autotune-no-cudagraphs']).default('default'),
  buckets: z.array(z.int().min(1).max(64)).readonly().default([]),
  step_cache: z.enum(['none', 'first_block', 'deepcache']).default('none'),
  step_cache_strength: z.number().min(0).max(100).default(0),
  prompt_cache: z.int().min(0).max(100_000).default(0),
  decoder: z.enum(['own', 'tiny']).default('own'),
  quantize: z.enum(['none', 'fp8_dynamic', 'int8_dynamic', 'int8_weights', 'nf4', 'fp8_storage']).default('none'),
  quantize_text: z.enum(['none', 'int8_weights', 'nf4']).default('none'),
  lora_rank: z.int().min(0).max(1024).default(0),
});
export type PresetSettings = Readonly<z.output<typeof presetSettingsSchema>>;

/** Every technique at rest. */
export const NEUTRAL: PresetSettings = Object.freeze(presetSettingsSchema.parse({}));
