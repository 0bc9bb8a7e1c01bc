import type { CostFigure, EnergyFigure } from '../cost/summary.ts';
import type { Job, JobRow, Receipt } from '../ports.ts';
import type { Seconds } from '../units.ts';

/** What `run --json` prints, one object a line; the human output is drawn from the same events. */
export type RunEvent = RunStarted | JobChanged | ImageMade | JobFailed | RunSummary;

export interface RunStarted {
  readonly event: 'run';
  readonly run: string;
  readonly name: string;
  /** Continues a run that was interrupted or extended. */
  readonly resumed: boolean;
  readonly jobs: number;
  readonly to_make: number;
  readonly cached: number;
  readonly failed: number;
  /** Lines that the file no longer has; their pictures stay. */
  readonly removed: number;
  /** The folder that holds all pictures of the run. */
  readonly out_dir: string;
}

export interface JobChanged {
  readonly event: 'job';
  readonly id: string;
  /** `planned` only with --dry-run. */
  readonly state: 'planned' | 'queued' | 'running';
  readonly prompt: string;
  readonly seed: number;
  /** Where the picture is to be. */
  readonly path: string;
}

export interface ImageMade {
  readonly event: 'image';
  readonly id: string;
  readonly prompt: string;
  readonly seed: number;
  /** Absolute; null for a picture of an earlier time that the user threw away. */
  readonly path: string | null;
  /** True for a picture that was done before this command. */
  readonly cached: boolean;
  readonly receipt: Receipt | null;
}

export interface JobFailed {
  readonly event: 'failure';
  readonly id: string;
  readonly prompt: string;
  readonly code: string;
  readonly message: string;
}

export interface RunSummary {
  readonly event: 'summary';
  readonly run: string;
  readonly name: string;
  /** images + cached + failed + left = jobs. */
  readonly jobs: number;
  readonly images: number;
  readonly cached: number;
  readonly failed: number;
  readonly left: number;
  readonly seconds: Seconds;
  /** Of them those in which it waited for cheap electricity; they are in no rate. */
  readonly waited_seconds: Seconds;
  readonly images_per_hour: number;
  readonly batches: number;
  readonly mean_batch: number;
  /** Pictures and overhead together; the parts stand apart in `parts`. */
  readonly energy: EnergyFigure;
  readonly cost: CostFigure;
  readonly parts: { readonly pictures: Part; readonly overhead: Part };
  /** Of `parts.pictures`, for 1,000 of them; overhead is not multiplied. Null where none was made. */
  readonly per_thousand: Part | null;
  readonly out_dir: string;
  /** Absolute; null where none was asked for, or none could be drawn. */
  readonly contact_sheet: string | null;
}

export interface Part {
  readonly seconds: Seconds;
  readonly energy: EnergyFigure;
  readonly cost: CostFigure;
}

export interface Reporter {
  event(event: RunEvent): void;
  /** A sentence for a person: what is going on, or what to do. */
  note(text: string): void;
  /** Why nothing is made now, in short, for the line that is drawn again and again; null: something is. */
  rests(why: string | null): void;
  /** A moment passed; time to redraw what moves. */
  tick(): void;
  /** Nothing moves any more. */
  close(): void;
}

export function jobOf(job: Job, state: JobChanged['state']): JobChanged {
  return { event: 'job', id: job.id, state, prompt: job.request.prompt, seed: job.request.seed, path: job.target };
}

export function imageOf(row: JobRow, cached: boolean, path: string | null): ImageMade {
  return { event: 'image', id: row.id, prompt: row.prompt, seed: row.seed, path, cached, receipt: row.receipt };
}

export function failureOf(row: JobRow): JobFailed {
  const { code, message } = row.error ?? { code: 'internal', message: 'no reason was recorded' };
  return { event: 'failure', id: row.id, prompt: row.prompt, code, message };
}
