import { z } from 'zod';

const count = z.int().min(0);

/**
 * What of a model decides how much memory it takes, read from its configs and from the heads of its weight files. It
 * travels with each job, so that a device can be chosen for without the model's folder.
 */
export const anatomySchema = z.strictObject({
  denoiser: z.strictObject({
    kind: z.enum(['unet', 'transformer']),
    parameters: count,
    /** Those of its parameters that are weights of linear layers, which quantising is about. */
    linear: count,
    /** UNet: channels by level, highest resolution first. Transformer: its width, alone. */
    channels: z.array(count).min(1).readonly(),
    /** UNet: residual blocks a level. Transformer: blocks. */
    layers: count,
    /** UNet: transformer blocks in each attention of a level, 0 where it has none. Transformer: empty. */
    attention: z.array(count).readonly(),
    /** Of attention, by level as `channels`. */
    heads: z.array(count).readonly(),
    /** Channels of an attention head; null where levels differ or the config is silent. */
    headChannels: count.nullable(),
    /** Latents along one side of what becomes one token; 1 for a UNet. */
    patch: count,
    /** With true guidance the two passes of a step are one call with twice the rows, or two calls. */
    passes: z.enum(['together', 'apart']),
  }),
  /** In the order of their use. */
  textEncoders: z
    .array(
      z.strictObject({
        name: z.string(),
        parameters: count,
        linear: count,
        width: count,
        layers: count,
        tokens: count,
        /** Heads of a table of position biases, tokens by tokens, as T5 has one; 0 elsewhere. */
        biases: count,
      }),
    )
    .readonly(),
  vae: z.strictObject({
    parameters: count,
    /** By level, highest resolution first. */
    channels: z.array(count).min(1).readonly(),
    layers: count,
    latentChannels: count,
    /** Of the pictures that it was trained on, in pixels. */
    sampleSize: count,
    /** Its pictures are not finite in float16. */
    overflows: z.boolean(),
  }),
  /** Bytes of all weight files, which is what a load reads. */
  fileBytes: count,
  /** Of most of the denoiser's weights in the files: what is loaded as another takes memory twice for a while. */
  fileDtype: z.enum(['float32', 'float16', 'bfloat16', 'other']),
});
export type Anatomy = Readonly<z.output<typeof anatomySchema>>;
