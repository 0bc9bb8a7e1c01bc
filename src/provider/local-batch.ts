import { createHash } from 'node:crypto';
import { AppError, sentenceOf, UnavailableError } from '../errors.ts';
import type { Batch, BatchResult, Clock, Device, EnergyReading, EngineFacts, Failure, Progress } from '../ports.ts';
import { presetNamed } from '../preset/catalogue.ts';
import type { BatchReport } from '../worker/answers.ts';
import type { EngineSpec } from '../worker/engine.ts';
import type { Generate } from '../worker/messages.ts';
import type { Supervisor } from '../worker/supervisor.ts';

/** A device and who keeps its worker. */
export interface Place {
  readonly device: Device;
  readonly supervisor: Supervisor;
}

interface MakeOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  onProgress(progress: Progress): void;
}

const UNKNOWN_ENERGY: EnergyReading = { millijoules: null, method: 'unknown', meter: 'none' };

/**
 * Has the batch's engine loaded and makes its pictures. What is wrong with the batch itself is the answer of
 * each of its jobs, and so is a death over its load; only a worker that is not to be had rejects. After out-of-memory, or a card that was lost, the
 * process is replaced.
 */
export async function makeBatch(place: Place, batch: Batch, options: MakeOptions): Promise<BatchResult> {
  const result = await makeOrRefuse(place, batch, options);
  // What such a process has left of its memory is in pieces, and a broken CUDA context stays broken.
  if (failedBy(result, 'out_of_memory') || failedBy(result, 'device_lost')) await place.supervisor.stop();
  return result;
}

export function failedBy(result: BatchResult, code: string): boolean {
  return result.answers.some((answer) => answer.kind === 'failure' && answer.code === code);
}

async function makeOrRefuse(place: Place, batch: Batch, options: MakeOptions): Promise<BatchResult> {
  const overhead: BatchResult['overhead'][number][] = [];
  try {
    const spec = engineFor(batch, place.device);
    await load(place.supervisor, spec, batch.id, options, overhead);
    const facts = place.supervisor.engine?.facts ?? factsOf(batch);
    const report = await generate(place.supervisor, batch, options);
    return { answers: report.answers, shared: sharedOf(report, place.device, facts), overhead };
  } catch (error) {
    if (options.signal.aborted || !isAboutTheBatch(error)) throw error;
    return refusal(batch, error, overhead);
  }
}

function engineFor(batch: Batch, { id: device }: Device): EngineSpec {
  const { modelPath, preset: name, request } = firstOf(batch);
  const preset = presetNamed(name);
  const id = createHash('sha256')
    .update(JSON.stringify([request.modelHash, preset, device]))
    .digest('hex');
  return { id: id.slice(0, 8), modelHash: request.modelHash, modelPath, preset };
}

async function load(
  supervisor: Supervisor,
  spec: EngineSpec,
  batch: string,
  { clock, signal, onProgress }: MakeOptions,
  overhead: BatchResult['overhead'][number][],
): Promise<void> {
  const begun = clock.monotonic();
  if (supervisor.engine?.spec.id !== spec.id) onProgress({ batch, phase: 'load', step: 0, steps: 1 });
  try {
    const report = await supervisor.ensureLoaded(spec, { signal });
    if (report === null) return;
    overhead.push({ cause: 'load', ...report });
  } catch (error) {
    overhead.push({ cause: 'load', seconds: (clock.monotonic() - begun) / 1_000, energy: UNKNOWN_ENERGY });
    throw error;
  }
  onProgress({ batch, phase: 'load', step: 1, steps: 1 });
}

function generate(supervisor: Supervisor, batch: Batch, { signal, onProgress }: MakeOptions): Promise<BatchReport> {
  const order = { batch: batch.id, params: paramsOf(batch), items: batch.jobs.map(itemOf) };
  return supervisor.generate(order, {
    signal,
    onProgress: ({ phase, step, steps }) => {
      if (phase !== 'idle') onProgress({ batch: batch.id, phase, step, steps });
    },
  });
}

function paramsOf(batch: Batch): Generate['params'] {
  const { request, format } = firstOf(batch);
  const { width, height, steps, guidance, distilledGuidance, scheduler, schedule, clipSkip } = request;
  const distilled = { distilled_guidance: distilledGuidance, clip_skip: clipSkip };
  return { width, height, steps, guidance, scheduler, schedule, format, ...distilled };
}

function itemOf({ id, request, temporary }: Batch['jobs'][number]): Generate['items'][number] {
  const { prompt, negativePrompt, seed } = request;
  return { job: id, prompt, negative_prompt: negativePrompt, seed, out: temporary };
}

function sharedOf(report: BatchReport, device: Device, engine: EngineFacts): BatchResult['shared'] {
  const { seconds, phases, energy, memory } = report;
  const peakMemory = device.kind === 'cuda' ? memory?.peak_reserved_bytes : memory?.peak_rss_bytes;
  return { seconds, phases, peakMemory: peakMemory ?? null, energy, engine };
}

type AboutTheBatch = AppError | RangeError;

/** A RangeError is an order that does not fit into a message. A worker that died over the load took time that is booked. */
function isAboutTheBatch(error: unknown): error is AboutTheBatch {
  if (error instanceof UnavailableError) return false;
  return error instanceof AppError || error instanceof RangeError;
}

/** No pass was made: the batch took nothing but its overhead. */
function refusal(batch: Batch, error: AboutTheBatch, overhead: BatchResult['overhead']): BatchResult {
  const { code, retryable } = error instanceof AppError ? error : { code: 'bad_request', retryable: false };
  const message = sentenceOf(error);
  const answers = batch.jobs.map(({ id }): Failure => ({ kind: 'failure', job: id, code, message, retryable }));
  const phases = { encode: 0, denoise: 0, decode: 0, save: 0 };
  const energy: EnergyReading = { millijoules: 0, method: 'derived', meter: 'none' };
  return { answers, shared: { seconds: 0, phases, peakMemory: null, energy, engine: factsOf(batch) }, overhead };
}

/** What is known of an engine that is not loaded. */
function factsOf(batch: Batch): EngineFacts {
  return { id: 'none', preset: firstOf(batch).preset, settings: {}, versions: {} };
}

function firstOf(batch: Batch): Batch['jobs'][number] {
  const [first] = batch.jobs;
  if (first === undefined) throw new RangeError(`batch ${batch.id} has no jobs`);
  return first;
}
