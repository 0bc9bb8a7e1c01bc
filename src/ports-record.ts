/** What is kept: runs and jobs, the ledger, what a picture says of itself, and what processes tell each other. Types only. */
import type { Marks } from './batch/marks.ts';
import type { Request } from './job/request.ts';
import type { Downgrade, EnergyReading, EngineFacts, Job, Priority, When } from './ports-job.ts';
import type { MeterBooking } from './ports-ledger.ts';
import type { Bytes, EpochMillis, Method, Seconds } from './units.ts';

export type JobState = 'submitting' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted';

/** The identity of a line: its request without the seed, its occurrence among equal lines, its k of n. */
export interface LineIdentity {
  readonly lineKey: string;
  readonly occurrence: number;
  readonly k: number;
}

export interface NewJob extends LineIdentity {
  readonly index: number;
  readonly job: Job;
}

export interface JobRow extends LineIdentity {
  readonly id: string;
  readonly runId: string;
  readonly index: number;
  readonly state: JobState;
  readonly prompt: string;
  readonly seed: number;
  /** Where the picture is or will be. After `done` the name that was really taken. */
  readonly path: string;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly priority: Priority;
  /** As {@link Job} has it. */
  readonly when?: When;
  readonly marks: Marks;
  /** Grows with every change of any job in this store; what a follower has seen. */
  readonly seq: number;
  /** For a job that is done: that of the picture at `path`, also where it was made again. */
  readonly receipt: Receipt | null;
}

export interface RunRow {
  readonly id: string;
  readonly name: string;
  /** Hash of the content: what an unnamed run is resumed by. */
  readonly contentKey: string;
  readonly named: boolean;
  readonly createdAt: EpochMillis;
  /** Launch id of the process that last claimed it. */
  readonly launch: string;
  /** It waits for whoever serves, whatever becomes of the process that submitted it. */
  readonly served: boolean;
  /** Why nothing of it is made until it is resumed; null for a run that goes on. */
  readonly held: string | null;
  readonly outDir: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly counts: Readonly<Record<JobState, number>>;
}

export interface RunWrite {
  readonly run: Omit<RunRow, 'counts' | 'createdAt' | 'held'>;
  /** The launch that the row must still carry (compare and swap); null for a new run. */
  readonly claimedFrom: string | null;
  readonly add: readonly NewJob[];
  /** Existing jobs to be made (again): interrupted ones, failed ones when asked, missing ones when asked. */
  readonly requeue: readonly Requeued[];
}

export interface Requeued {
  readonly id: string;
  readonly job: Job;
  /** Its picture is made again although it is done; without it, a job that became done after the plan stays done. */
  readonly remake: boolean;
}

/** An append-only line of the ledger. */
export interface Entry {
  /** hash(launch, batch, job, kind): writing it twice is writing it once. */
  readonly id: string;
  readonly at: EpochMillis;
  readonly kind: 'active' | 'overhead';
  /** Why energy went elsewhere than into a picture; null for `active`. */
  readonly cause: 'load' | 'failed' | 'cancelled' | 'redone' | 'lost' | null;
  readonly runId: string | null;
  readonly jobId: string | null;
  readonly batchId: string;
  readonly receipt: Receipt;
  /** Beside those of its run, which the store adds. */
  readonly tags: Readonly<Record<string, string>>;
  /** When and on which card its energy was burnt; left out where nobody saw it. All entries of one window have the same. */
  readonly span?: EntrySpan;
}

export interface EntrySpan {
  /** UUID of the card; null for a processor. */
  readonly gpu: string | null;
  readonly from: EpochMillis;
  readonly to: EpochMillis;
}

/** What one image took. Travels in the picture, in the ledger and on the wire, always in this shape. */
export interface Receipt {
  readonly v: 1;
  readonly provider: string;
  readonly device: string;
  readonly engine: string;
  /**
   * What it was made with: `auto` is resolved, and what ran out of memory has given way to one below. As it was asked for
   * where nothing was chosen. What of it was in effect is in `settings`.
   */
  readonly preset: string;
  /** In effect in the engine, as the worker found them: dtype, attention, offload … Empty where nothing was loaded. */
  readonly settings: EngineFacts['settings'];
  readonly model: string;
  readonly batch: { readonly id: string; readonly size: number };
  /** This image's share of the batch's seconds, and the batch's own. */
  readonly seconds: { readonly share: Seconds; readonly batch: Seconds; readonly method: Method };
  readonly peak_memory_bytes: { readonly value: Bytes | null; readonly method: Method };
  readonly energy: {
    readonly joules: number | null;
    readonly method: Method;
    readonly meter: EnergyReading['meter'];
    readonly flags: readonly string[];
    /** The true value is at most so far away; left out where nothing bounds it. */
    readonly bound_joules?: number;
    /** What samples of power add up to, by what the counter says, for the whole batch; where there are both. */
    readonly integral_ratio?: number;
  };
  readonly cost: { readonly amount: number | null; readonly currency: string; readonly method: Method };
  /** Which tariff priced it; past receipts are never priced again. */
  readonly price: string;
  /** What of the preset gave way by name; left out where nothing did. */
  readonly downgrades?: readonly Downgrade[];
  /** Denoise steps of the whole batch; left out, as what follows, where nobody told. */
  readonly steps?: { readonly count: number; readonly median_seconds: Seconds };
  /** What the denoiser did for the whole batch. */
  readonly work?: {
    /** 2 operations a multiply-add; null where they could not be counted. */
    readonly teraflops: number | null;
    /** Share of the device's peak, 0 … 1; null where that is unknown or the figure was invalid. */
    readonly mfu: number | null;
    readonly calls: number;
    /** Compiled during this batch. */
    readonly graphs: number;
    readonly cached_prompts: number;
  };
  /** The most of the card's memory during the batch: in tensors, by the allocator, by all programs. */
  readonly peaks?: {
    readonly allocated_bytes: Bytes | null;
    readonly reserved_bytes: Bytes | null;
    readonly device_bytes: Bytes | null;
  };
}

/** The fields of a receipt that older ones lack. */
export type ReceiptDetails = Pick<Receipt, 'downgrades' | 'steps' | 'work' | 'peaks'>;

/** What one batch left behind; written in one transaction. */
export interface Settlement {
  readonly batchId: string;
  readonly at: EpochMillis;
  readonly entries: readonly Entry[];
  readonly jobs: readonly (
    | { readonly id: string; readonly state: 'done'; readonly path: string }
    | {
        readonly id: string;
        readonly state: 'failed';
        readonly error: { readonly code: string; readonly message: string };
      }
    /** Waits again, with what befell it so far. */
    | { readonly id: string; readonly state: 'queued'; readonly marks: Marks }
  )[];
  /** Of the card's energy, what the batch's windows are made of and what lies between them; left out where there is no card. */
  readonly meter?: MeterBooking;
}

/** The user wants the cards for something else. */
export interface Pause {
  readonly since: EpochMillis;
  /** When it ends by itself; null: when somebody says `resume`. */
  readonly until: EpochMillis | null;
  /** The running batches are given up and made again later, instead of being finished. */
  readonly now: boolean;
}

export interface News {
  /** All that is below this number has been seen. */
  readonly sequence: number;
  /** Jobs that became `cancelled` or `interrupted`: whoever makes them is to stop. */
  readonly withdrawn: readonly string[];
  /** Whether any job waits to be put into the queue by whoever serves. */
  readonly submitted: boolean;
  readonly pause: Pause | null;
}

/** Which process owns the data folder, as it said itself; whether it still lives is another question. */
export interface Owner {
  readonly launch: string;
  readonly serves: boolean;
}

/** A batch of this size of such jobs ran out of memory on this device. */
export interface LearnedLimit {
  /** GPU UUID, or `cpu`. */
  readonly device: string;
  /** Content hash of the model. */
  readonly model: string;
  /** Digest of the settings that it is loaded with. */
  readonly engine: string;
  /** What of a request decides the memory of its picture, `1024x1024+cfg+lora`. */
  readonly shape: string;
  /** The largest batch that may still be tried; 0: not even one picture fits. */
  readonly limit: number;
  /** When it was learned: what else was in the memory then is not there for ever. */
  readonly at: EpochMillis;
}

/**
 * What batches of one kind took on a device: figures of how it is now, for as long as they are believed.
 * Kept by device, model, engine, shape and batch.
 */
export interface Measurement {
  /** GPU UUID, or `cpu`. */
  readonly device: string;
  /** Content hash of the model. */
  readonly model: string;
  /** Digest of the settings that it is loaded with. */
  readonly engine: string;
  /** What of a request decides the memory of its picture, `1024x1024+cfg+lora`. */
  readonly shape: string;
  /** Pictures in a batch. */
  readonly batch: number;
  /**
   * Denoise time of the whole batch by steps asked for, the least of the last few batches: some schedulers call the
   * denoiser more often than that, and step caches less. Without compiling.
   */
  readonly stepSeconds: Seconds;
  /** Of a whole batch besides its denoise steps: encode, decode, save. */
  readonly otherSeconds: Seconds;
  /** The most that the process held on the device in the last few batches; on a CPU, of its own memory. */
  readonly peakBytes: Bytes;
  /** Warm batches that the times were seen in; 0 where only the memory is known, and the times are of a cold batch. */
  readonly count: number;
  readonly at: EpochMillis;
}

export interface RunTotals {
  readonly images: number;
  readonly batches: number;
  readonly active: EnergyAndMoney;
  readonly overhead: EnergyAndMoney;
}

export interface EnergyAndMoney {
  readonly joules: number | null;
  readonly energyMethod: Method;
  /** Nano-units by currency, in the order of ISO codes; null where every part is unknown. */
  readonly costs: readonly { readonly nano: bigint | null; readonly currency: string; readonly method: Method }[];
  readonly seconds: Seconds;
  /** Entries whose energy is unknown and therefore not in the sum. */
  readonly energyUnknowns: number;
  /** Entries whose money is. */
  readonly costUnknowns: number;
}

/** What a picture says of itself. */
export interface ImageMetadata {
  /** AUTOMATIC1111's text; null when configured out. */
  readonly parameters: string | null;
  /** Our own chunk. Job id and receipt can never be configured out. */
  readonly kilnwatt: {
    readonly v: 1;
    readonly job: string;
    readonly run: string;
    readonly request_key: string;
    readonly request?: Request;
    readonly receipt: Receipt;
    readonly software: string;
  };
}
