import type { LoraDraft } from './loras.ts';
import type { ScheduleName, SchedulerName } from './request.ts';

/** What one line said, before defaults: a field that the line does not mention is absent. */
export interface Draft {
  readonly prompt: string;
  readonly negativePrompt?: string;
  /** Null: drawn anew even where the command line gives a seed (A1111's -1). */
  readonly seed?: number | null;
  /** Pixels. */
  readonly width?: number;
  /** Pixels. */
  readonly height?: number;
  readonly steps?: number;
  /** One number for the user; `resolve` knows which kind of guidance the model has. */
  readonly guidance?: number;
  readonly scheduler?: SchedulerName;
  readonly schedule?: ScheduleName;
  /** As A1111 counts: 1 means that no layer is left out. */
  readonly clipSkip?: number;
  readonly model?: string;
  /** In the order in which they were named; an empty list stands against those of the command line. */
  readonly loras?: readonly LoraDraft[];
  /** How many pictures of this line. */
  readonly n?: number;
  /** The user's own name for the picture. */
  readonly name?: string;
  /** Prompt syntax that the worker does not speak is passed on as text. */
  readonly literal?: boolean;
  /** Where it was said, for errors: `prompts.txt:7`. */
  readonly place: string;
}

/** The fields that a flag, a column or a key can say. */
export type Fields = Partial<Omit<Draft, 'place' | 'literal'>>;
