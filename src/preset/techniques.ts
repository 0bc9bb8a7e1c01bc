import { z } from 'zod';
import techniques from './techniques.json' with { type: 'json' };

const techniqueSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9-]+$/),
  /** Of a preset, or `scheduler` or `schedule` of a request. */
  field: z.string(),
  /** `*`: any number or list but the neutral one. */
  value: z.union([z.string(), z.literal(true)]),
  title: z.string(),
  /** Pictures are those of the plain pipeline, but for rounding. */
  exact: z.boolean(),
  /** What it gains or saves, and what that costs: as it was published, or `nothing`. */
  worth: z.string(),
  /** Where that was published, or how it was come by. */
  evidence: z.string(),
  /** What shows that it is in effect: a test on a processor, the newest record of a card, or nothing yet. */
  proof: z.enum(['cpu', 'gpu-record', 'none yet']),
  /** For `cpu`: the file and the name of the test. */
  test: z.string().nullable(),
  /** Of the Python project, that it needs. */
  extra: z.string().nullable(),
});
export type Technique = Readonly<z.output<typeof techniqueSchema>>;

/** Every value of every setting of a preset that is not neutral, and how pictures are sampled. */
export const TECHNIQUES: readonly Technique[] = z.array(techniqueSchema).parse(techniques);

/** What a setting does; undefined for a neutral one. */
export function techniqueOf(field: string, value: unknown): Technique | undefined {
  const ofField = TECHNIQUES.filter((technique) => technique.field === field);
  return ofField.find((one) => one.value === value) ?? ofField.find((one) => one.value === '*');
}
