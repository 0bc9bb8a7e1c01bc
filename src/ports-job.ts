/** What is made: a job on its way through a provider, and what comes back. Types only. */
import type { Request } from './job/request.ts';
import type { Anatomy } from './preset/anatomy.ts';
import type { Bytes, EpochMillis, Method, Millijoules, Seconds } from './units.ts';

/** What the door must know about a model before it accepts a request. */
export interface Model {
  /** As the user names it: a folder's name or a hub id. */
  readonly name: string;
  /** Absolute path of the pipeline folder. */
  readonly path: string;
  /** `sha256:<hex>` over the files that are loaded. */
  readonly hash: string;
  readonly family: 'sd' | 'sdxl' | 'flux' | 'other';
  /** Pixels. */
  readonly nativeSize: { readonly width: number; readonly height: number };
  /** Width and height must be divisible by this. */
  readonly sizeMultiple: number;
  readonly defaults: Pick<Request, 'steps' | 'guidance' | 'distilledGuidance' | 'scheduler' | 'schedule'>;
  /** Schedulers that this model can be sampled with. */
  readonly schedulers: readonly Request['scheduler'][];
  /** Of the CLIP text encoder that clip skip counts in; null where the family has none. */
  readonly clipLayers: number | null;
  /** What its memory is estimated from; null where its configs do not say enough. */
  readonly anatomy: Anatomy | null;
}

/** A LoRA's file, as the door must know it before it accepts a request. */
export interface Lora {
  /** The file's name without its extension. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** `sha256:<hex>` of the file. */
  readonly hash: string;
  /** Of the file, which is what it takes beside the model. */
  readonly bytes: Bytes;
}

export type ImageFormat = 'png' | 'jpeg' | 'webp';

/** One job as it travels: what the queue carries and the batcher groups. */
export interface Job {
  /** `<run id>-<index, 6 digits>` */
  readonly id: string;
  readonly runId: string;
  readonly request: Request;
  /** Absolute path of the model folder, so that a worker needs no registry. */
  readonly modelPath: string;
  readonly family: Model['family'];
  /** Of the model, so that a device is chosen for without its folder; null where it is not known. */
  readonly anatomy: Anatomy | null;
  /** Absolute paths of the request's LoRAs, in their order. */
  readonly loraPaths: readonly string[];
  /** Of their files together. */
  readonly loraBytes: Bytes;
  /** The preset asked for; `auto` is resolved on the device. */
  readonly preset: string;
  /** Where the picture goes: absolute path with extension. */
  readonly target: string;
  readonly format: ImageFormat;
  readonly sidecar: 'txt' | 'json' | null;
  /** Interactive jobs go before bulk; a batch under way is finished first. */
  readonly priority: Priority;
  /** As the run says it; left out where it does not, and then as whoever makes it is configured. Interactive jobs never wait. */
  readonly when?: When;
}

export type Priority = 'interactive' | 'bulk';

/** At once, or only while a kilowatt-hour costs the least of its day, by the tariff of whoever makes it. */
export type When = 'now' | 'cheap';

/** Jobs that share GPU passes. All have the same {@link batchKey}. */
export interface Batch {
  /** `<launch id>-<number>` */
  readonly id: string;
  readonly key: string;
  readonly device: string;
  /** With settings that are slower and cannot overflow (VAE in float32, plain attention), because the first try was black. */
  readonly safe: boolean;
  /** With the temporary file that its picture is to be written to. */
  readonly jobs: readonly (Job & { readonly temporary: string })[];
}

/** The first one of `encode` comes when the model is there and the pictures are begun. */
export interface Progress {
  readonly batch: string;
  readonly phase: 'import' | 'load' | 'compile' | 'encode' | 'denoise' | 'decode' | 'save';
  readonly step: number;
  readonly steps: number;
}

/** A figure and how it was obtained. Null if and only if the method is `unknown`. */
export interface EnergyReading {
  /** Of ours: without what other programs burnt on the card in the same time. */
  readonly millijoules: Millijoules | null;
  readonly method: Method;
  readonly meter: 'nvml_counter' | 'power_integral' | 'rapl' | 'model' | 'none';
  /** What whoever reads the figure should know; left out where there is nothing. */
  readonly flags?: readonly EnergyFlag[];
  /** The true value is at most so far away, as far as the samples tell; left out where nothing bounds it. */
  readonly bound?: Millijoules;
  /** What the card's meters said at both ends; left out where no card was read. */
  readonly window?: EnergyWindow;
}

/**
 * `coarse`: the bound is wide, or the window too short for its meter; `counter_fell`: the driver was loaded anew in the
 * window; `implausible`: the counter said more than the card can draw; `disagrees`: counter and integral differ by over a
 * tenth; `shared_gpu`: another program worked on the card, and its part was taken out, or could not be; `sharing_unknown`:
 * whether another program did cannot be told here; `whole_package`: all of a processor, other programs included;
 * `configured_watts`: time x watts of the configuration.
 */
export type EnergyFlag =
  | 'coarse'
  | 'counter_fell'
  | 'implausible'
  | 'disagrees'
  | 'shared_gpu'
  | 'sharing_unknown'
  | 'whole_package'
  | 'configured_watts';

/** One stretch of a worker's work, between two moments at which its card had nothing left to do. */
export interface EnergyWindow {
  /** UUID of the card. */
  readonly gpu: string;
  readonly from: EpochMillis;
  readonly to: EpochMillis;
  /** The card's counter at both ends; null where it has none, or did not answer. */
  readonly counter: { readonly from: Millijoules; readonly to: Millijoules } | null;
  /** By samples of its power; null where there were none. */
  readonly integral: { readonly millijoules: Millijoules; readonly bound: Millijoules } | null;
  /** What others burnt of it; null where they did and how much cannot be told, and then nothing is known of ours. */
  readonly foreign: Millijoules | null;
}

/** One answer for each job, in the order of the batch. One bad prompt does not fail its neighbours. */
export interface BatchResult {
  readonly answers: readonly (Made | Failure)[];
  /** What all jobs of the batch shared. */
  readonly shared: {
    readonly seconds: Seconds;
    readonly phases: Readonly<Record<'encode' | 'denoise' | 'decode' | 'save', Seconds>>;
    /** The most that the worker held on the device; on a CPU, of its own memory. */
    readonly peakMemory: Bytes | null;
    /** Null where there is no card, or the worker did not live to tell. */
    readonly peaks: MemoryPeaks | null;
    /** Null where no step was finished, or the worker did not live to tell. */
    readonly steps: StepFigures | null;
    /** Null where nothing was denoised, or the worker did not live to tell. */
    readonly work: WorkFigures | null;
    readonly energy: EnergyReading;
    readonly engine: EngineFacts;
  };
  /** Loads that were needed for this batch; booked as overhead. */
  readonly overhead: readonly { readonly cause: 'load'; readonly seconds: Seconds; readonly energy: EnergyReading }[];
}

/** Of the denoise steps of a whole batch, as the device took them. */
export interface StepFigures {
  readonly count: number;
  readonly first: Seconds;
  readonly median: Seconds;
  readonly slowest: Seconds;
}

/** The most of a card's memory that was taken during a batch; null for what could not be read. */
export interface MemoryPeaks {
  /** In tensors. */
  readonly allocated: Bytes | null;
  /** By the worker's allocator. */
  readonly reserved: Bytes | null;
  /** By all programs, as far as it was looked at: at the end of each phase. */
  readonly device: Bytes | null;
}

/** What the denoiser did for a batch. */
export interface WorkFigures {
  /** 2 operations a multiply-add; null where they could not be counted. */
  readonly teraflops: number | null;
  readonly calls: number;
  /** Model FLOPs utilisation, 0 … 1; null where the peak of the device is unknown, or the figure was invalid. */
  readonly mfu: number | null;
  /** Compiled during this batch. */
  readonly graphs: number;
  readonly cachedPrompts: number;
}

export interface Made {
  readonly kind: 'made';
  readonly job: string;
  /** The temporary file, complete; no metadata in it yet. */
  readonly temporary: string;
  readonly width: number;
  readonly height: number;
}

export interface Failure {
  readonly kind: 'failure';
  readonly job: string;
  /**
   * Stable. Some mean something to whoever handles the batch: `worker_died` counts against the job; `out_of_memory` is
   * tried again in smaller batches, as the provider's limit now says; `black_image` is tried once more, safely; `disk_full`
   * and `not_writable` wait for a disk that takes it; and a job that was given up has the code of its signal's reason.
   */
  readonly code: string;
  readonly message: string;
  /** Whether another try can help. */
  readonly retryable: boolean;
}

/** The settings in effect, as the worker found them after loading; not those asked for. */
export interface EngineFacts {
  readonly id: string;
  readonly preset: string;
  readonly settings: Readonly<Record<string, string | number | boolean | null>>;
  /** What was asked for and is not in effect. */
  readonly downgrades: readonly Downgrade[];
  readonly versions: Readonly<Record<string, string>>;
}

/** A setting that gave way by name when the engine was loaded. */
export interface Downgrade {
  readonly setting: string;
  readonly asked: string;
  readonly in_effect: string;
  readonly reason: string;
}

export interface Device {
  /** `cpu`, `cpu:1`, `cuda:0` */
  readonly id: string;
  readonly kind: 'cpu' | 'cuda';
  /** GPU UUID; null on a CPU. */
  readonly uuid: string | null;
  readonly name: string;
}
