import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { SCHEDULERS, SCHEDULES } from '../job/request.ts';
import type { PresetSettings } from '../preset/settings.ts';
import { energySchema } from './energy.ts';

/**
 * The closed set of messages between the orchestrator and one Python worker, version 1. A golden sample
 * of each is in `test/fixtures/messages`; both languages read all of them.
 */
export const PROTOCOL_VERSION = 1;
/** Bytes of one line, its line feed left out. */
export const LINE_LIMIT = 1024 * 1024;
/** Characters. */
const EXCERPT = 200;

const amount = z.number().min(0);
const whole = z.number().int().min(0);
const head = { v: z.literal(PROTOCOL_VERSION), launch: z.string().min(1), seq: z.number().int().positive() };
const text = z.string();

const memory = z.strictObject({
  /** Null where there is no GPU. */
  peak_allocated_bytes: whole.nullable(),
  peak_reserved_bytes: whole.nullable(),
  /** Held by the worker's allocator now: the device has this much more for it than is free. */
  reserved_bytes: whole.nullable(),
  /** Of the whole card, other programs included, as far as it was looked at: at the end of each phase. */
  peak_device_bytes: whole.nullable(),
  device_free_bytes: whole.nullable(),
  device_total_bytes: whole.nullable(),
  rss_bytes: whole,
  peak_rss_bytes: whole,
  /** Of what is resident: what the host gets back only when the worker ends. Files that are mapped are caches to it. */
  anonymous_bytes: whole,
});
export type WorkerMemory = Readonly<z.infer<typeof memory>>;
const steps = z.strictObject({ count: whole, first: amount, median: amount, slowest: amount });
const work = z.strictObject({
  /** 2 a multiply-add; null where they could not be counted. */
  teraflops: amount.nullable(),
  /** Of the denoiser's core; fewer than steps times passes where steps were skipped. */
  calls: whole,
  /** Null where the device's peak is unknown, or where the figure was over 1 and so invalid. */
  mfu: z.number().min(0).max(1).nullable(),
  /** Compiled during this batch. */
  graphs: whole,
  cached_prompts: whole,
});
const versions = z.record(text, text);

/** What a worker is at. */
const PHASES = ['idle', 'import', 'load', 'compile', 'encode', 'denoise', 'decode', 'save'] as const;
export type Phase = (typeof PHASES)[number];

const inbound = z.discriminatedUnion('type', [
  /** First of all: the channel is open and the worker takes messages. */
  z.strictObject({
    ...head,
    type: z.literal('hello'),
    pid: whole,
    engine_kind: z.enum(['diffusers', 'fake']),
    versions,
  }),
  /** The engine is in place, with the settings in effect. */
  z.strictObject({
    ...head,
    type: z.literal('loaded'),
    engine: text,
    settings: z.record(text, z.union([text, z.number(), z.boolean(), z.null()])),
    /** What was asked for and is not in effect. */
    downgrades: z.array(z.strictObject({ setting: text, asked: text, in_effect: text, reason: text })),
    /** Bytes by part of the pipeline, wherever they are kept. */
    weights: z.record(text, whole),
    versions,
    seconds: amount,
    memory,
    energy: energySchema,
  }),
  z.strictObject({
    ...head,
    type: z.literal('progress'),
    batch: text,
    phase: z.enum(PHASES),
    step: whole,
    steps: whole,
  }),
  /** An item's answer: its picture is complete in `out`. */
  z.strictObject({
    ...head,
    type: z.literal('image'),
    batch: text,
    job: text,
    out: text,
    width: z.number().int().positive(),
    height: z.number().int().positive(),
    bytes: z.number().int().positive(),
  }),
  /** An item's answer, or with `job` null that of a load. */
  z.strictObject({
    ...head,
    type: z.literal('failure'),
    batch: text.nullable(),
    job: text.nullable(),
    code: z.string().min(1),
    message: text,
    retryable: z.boolean(),
    /** What a load took until it failed; null of an item, and of a load that did not begin. */
    energy: energySchema.nullable(),
  }),
  /** Last of a batch. */
  z.strictObject({
    ...head,
    type: z.literal('done'),
    batch: text,
    seconds: amount,
    phases: z.strictObject({ encode: amount, denoise: amount, decode: amount, save: amount }),
    /** Null where no step was finished. */
    steps: steps.nullable(),
    /** Null where nothing was denoised. */
    work: work.nullable(),
    memory,
    energy: energySchema,
  }),
  /** The answer of items that will not be made. */
  z.strictObject({ ...head, type: z.literal('cancelled'), batch: text, jobs: z.array(text) }),
  z.strictObject({ ...head, type: z.literal('unloaded'), memory }),
  /** The interpreter is alive. Comes every half second, and at the beginning of every phase, since the phase may hold the interpreter. */
  z.strictObject({ ...head, type: z.literal('heartbeat'), phase: z.enum(PHASES), rss_bytes: whole }),
  z.strictObject({
    ...head,
    type: z.literal('log'),
    level: z.enum(['debug', 'info', 'warning', 'error']),
    message: text,
  }),
]);

/** What comes from the worker. */
export type Inbound = z.infer<typeof inbound>;
export type InboundOf<Type extends Inbound['type']> = Extract<Inbound, { readonly type: Type }>;

interface Head {
  readonly v: typeof PROTOCOL_VERSION;
  readonly launch: string;
  readonly seq: number;
}

/** Answered by `loaded`, or by `failure` without batch and job. */
export interface Load {
  readonly type: 'load';
  /** What the engine is to be called from here on. */
  readonly engine: string;
  readonly device: string;
  /** The folder has the last word on the family; `other` where the sender does not know it. */
  readonly model: { readonly path: string; readonly family: 'sd' | 'sdxl' | 'flux' | 'other' };
  readonly preset: { readonly name: string } & PresetSettings;
}

/** Answered by one `image` or `failure` an item, or its name in `cancelled`; then by `done`. */
export interface Generate {
  readonly type: 'generate';
  readonly engine: string;
  readonly batch: string;
  readonly params: {
    readonly width: number;
    readonly height: number;
    readonly steps: number;
    readonly guidance: number;
    readonly distilled_guidance: number | null;
    readonly scheduler: (typeof SCHEDULERS)[number];
    readonly schedule: (typeof SCHEDULES)[number];
    readonly clip_skip: number;
    readonly loras: readonly { readonly name: string; readonly path: string; readonly weight: number }[];
    readonly format: 'png' | 'jpeg' | 'webp';
  };
  readonly items: readonly {
    readonly job: string;
    readonly prompt: string;
    readonly negative_prompt: string;
    readonly seed: number;
    readonly out: string;
  }[];
}

/** Gives up items that have no answer yet; takes effect between two steps. */
export interface Cancel {
  readonly type: 'cancel';
  readonly batch: string;
  readonly jobs: readonly string[];
}

/** What goes to the worker, without its head. */
export type Order = Load | Generate | Cancel | { readonly type: 'unload' } | { readonly type: 'shutdown' };
export type Outbound = Head & Order;

export type Parsed = { readonly ok: true; readonly message: Inbound } | { readonly ok: false; readonly reason: string };

/** Reads one line from the worker. Never throws: a broken line is a fact about the worker. */
export function parseMessage(line: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { ok: false, reason: `a line is not JSON: ${excerpt(line)}` };
  }
  const parsed = inbound.safeParse(value);
  if (parsed.success) return { ok: true, message: parsed.data };
  return { ok: false, reason: `${excerpt(z.prettifyError(parsed.error).replaceAll('\n', ' '))} in ${excerpt(line)}` };
}

/** An order that no line can carry. With fewer items it may fit. */
export class OrderTooLarge extends AppError {
  constructor(message: string) {
    super(message, { code: 'order_too_large', retryable: true });
  }
}

/**
 * Writes one line for the worker, without its line feed.
 * @throws OrderTooLarge for a line over the limit
 * @throws RangeError for a number that JSON cannot carry
 */
export function formatMessage(message: Outbound): string {
  const line = JSON.stringify(message, (name, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value))
      throw new RangeError(`${name} is ${value}, not a finite number`);
    return value;
  });
  const bytes = Buffer.byteLength(line);
  if (bytes > LINE_LIMIT)
    throw new OrderTooLarge(`the ${message.type} message has ${bytes} bytes, over the limit of ${LINE_LIMIT}`);
  return line;
}

/** The beginning of what a worker wrote, for a sentence. */
export function excerpt(text: string, most = EXCERPT): string {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
