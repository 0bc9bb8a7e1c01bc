import { createHash } from 'node:crypto';
import { AppError, UnavailableError } from '../errors.ts';
import type { Request } from '../job/request.ts';
import type {
  Batch,
  BatchResult,
  Clock,
  Device,
  EnergyReading,
  EngineFacts,
  Failure,
  MemoryPeaks,
  Progress,
} from '../ports.ts';
import type { Preset } from '../preset/catalogue.ts';
import { engineOf } from '../preset/engine.ts';
import type { BatchReport } from '../worker/answers.ts';
import type { EngineSpec } from '../worker/engine.ts';
import {
  formatMessage,
  type Generate,
  OrderTooLarge,
  PROTOCOL_VERSION,
  type WorkerMemory,
} from '../worker/messages.ts';
import type { Supervisor } from '../worker/supervisor.ts';
import { abandonedAnswers, isAbandoned, type Wishes, whileWanted } from './abandonment.ts';
import type { LoadDeaths } from './load-deaths.ts';
import { failureOf, failuresOf, firstOf, refusal } from './refusal.ts';
import type { Attempt } from './rungs.ts';

/** A device and who keeps its worker. */
export interface Place {
  readonly device: Device;
  readonly supervisor: Supervisor;
  readonly loadDeaths: LoadDeaths;
  /** Another worker makes pictures on the same processors. */
  readonly sharesProcessors: boolean;
}

interface MakeOptions extends Wishes {
  readonly clock: Clock;
  /** Whether the batch's engine needs about all of the host's memory that there is, or more. */
  isTight(): boolean;
  /** Told after a load and after a batch. */
  onMemory(memory: WorkerMemory): void;
  onProgress(progress: Progress): void;
}

const UNKNOWN_ENERGY: EnergyReading = { millijoules: null, method: 'unknown', meter: 'none' };

/**
 * Has the batch's engine loaded and makes its pictures. What is wrong with the batch itself is the answer of
 * each of its jobs, and so is a death over its load; only a worker that is not to be had rejects. After out-of-memory,
 * or a card that was lost, the process is replaced.
 */
export async function makeBatch(place: Place, batch: Batch, preset: Preset, options: MakeOptions): Promise<Attempt> {
  const { givenUp } = options;
  // Nobody waits for it any more: nothing needs to be loaded.
  if (isAbandoned(batch, givenUp))
    return { result: refusal(abandonedAnswers(batch, givenUp), { preset: preset.name }), ranOut: null };
  const wanted = batch.jobs.filter(({ id }) => !givenUp.get(id)?.aborted);
  const { result: told, loaded } = await makeOrRefuse(place, batch, preset, options);
  const result = place.sharesProcessors ? withoutProcessors(told) : told;
  const ranOut = failedBy(result, 'out_of_memory');
  // What such a process has left of its memory is in pieces, and a broken CUDA context stays broken.
  if (ranOut || failedBy(result, 'device_lost')) await place.supervisor.stop();
  const tooLarge = result.answers.every((answer) => answer.kind === 'failure' && answer.code === TOO_LARGE);
  return { result, ranOut: ranOut ? (loaded ? wanted.length : 'load') : null, loaded, tooLarge };
}

/**
 * Their counter is one for all of them: each worker was told what all of them burnt together, so that it would be booked
 * as often as there are workers.
 */
function withoutProcessors({ shared, overhead, ...result }: BatchResult): BatchResult {
  const ours = (energy: EnergyReading) => (energy.meter === 'rapl' ? UNKNOWN_ENERGY : energy);
  return {
    ...result,
    shared: { ...shared, energy: ours(shared.energy) },
    overhead: overhead.map((one) => ({ ...one, energy: ours(one.energy) })),
  };
}

const TOO_LARGE = 'order_too_large';

function failedBy(result: BatchResult, code: string): boolean {
  return result.answers.some((answer) => answer.kind === 'failure' && answer.code === code);
}

async function makeOrRefuse(
  place: Place,
  batch: Batch,
  preset: Preset,
  options: MakeOptions,
): Promise<{ readonly result: BatchResult; readonly loaded: boolean }> {
  const overhead: BatchResult['overhead'][number][] = [];
  let loaded = false;
  try {
    await load(place, engineFor(batch, place.device, preset), batch, options, overhead);
    loaded = true;
    const none = { id: 'none', settings: {}, downgrades: [], versions: {} };
    // It may have been loaded under the name of a preset that sets the same.
    const facts = { ...(place.supervisor.engine?.facts ?? none), preset: preset.name };
    const report = await generate(place.supervisor, batch, options);
    if (report.memory !== null) options.onMemory(report.memory);
    return { result: { answers: report.answers, shared: sharedOf(report, place.device, facts), overhead }, loaded };
  } catch (error) {
    if (options.signal.aborted) throw error;
    const { givenUp } = options;
    const answers = isAbandoned(batch, givenUp) ? abandonedAnswers(batch, givenUp) : answersTo(batch, error);
    return { result: refusal(answers, { preset: preset.name, overhead }), loaded };
  }
}

function engineFor(batch: Batch, { id: device }: Device, preset: Preset): EngineSpec {
  const { modelPath, request, family } = firstOf(batch);
  // Presets that set the same are the same engine, whatever their names.
  const id = createHash('sha256')
    .update(JSON.stringify([request.modelHash, engineOf(preset), device]))
    .digest('hex');
  return { id: id.slice(0, 8), modelHash: request.modelHash, modelPath, family, preset };
}

async function load(
  { supervisor, loadDeaths }: Place,
  spec: EngineSpec,
  batch: Batch,
  { clock, signal, givenUp, isTight, onProgress, onMemory }: MakeOptions,
  overhead: BatchResult['overhead'][number][],
): Promise<void> {
  await loadDeaths.over(spec, isTight, async () => {
    const begun = clock.monotonic();
    let failed = UNKNOWN_ENERGY;
    const onFailed = (energy: EnergyReading) => {
      failed = energy;
    };
    if (supervisor.engine?.spec.id !== spec.id) onProgress({ batch: batch.id, phase: 'load', step: 0, steps: 1 });
    try {
      const report = await whileWanted(batch, { signal, givenUp }, (either) =>
        supervisor.ensureLoaded(spec, { signal: either, onFailed }),
      );
      if (report === null) return;
      const { seconds, energy, memory } = report;
      overhead.push({ cause: 'load', seconds, energy });
      onMemory(memory);
    } catch (error) {
      overhead.push({ cause: 'load', seconds: (clock.monotonic() - begun) / 1_000, energy: failed });
      throw error;
    }
    onProgress({ batch: batch.id, phase: 'load', step: 1, steps: 1 });
  });
}

function generate(supervisor: Supervisor, batch: Batch, options: MakeOptions): Promise<BatchReport> {
  const { signal, givenUp, onProgress } = options;
  const order = { batch: batch.id, params: paramsOf(batch), items: batch.jobs.map(itemOf) };
  onProgress({ batch: batch.id, phase: 'encode', step: 0, steps: 1 });
  return supervisor.generate(order, {
    signal,
    givenUp,
    onProgress: ({ phase, step, steps }) => {
      if (phase !== 'idle') onProgress({ batch: batch.id, phase, step, steps });
    },
  });
}

function paramsOf(batch: Batch): Generate['params'] {
  const { request, format, loraPaths } = firstOf(batch);
  const { width, height, steps, guidance, distilledGuidance, scheduler, schedule, clipSkip } = request;
  const renamed = { distilled_guidance: distilledGuidance, clip_skip: clipSkip };
  return {
    width,
    height,
    steps,
    guidance,
    scheduler,
    schedule,
    format,
    loras: lorasOf(request.loras, loraPaths),
    ...renamed,
  };
}

/** Two files of one name are told apart by their place. */
function lorasOf(loras: Request['loras'], paths: readonly string[]): Generate['params']['loras'] {
  return loras.map(({ name, weight }, at) => {
    const path = paths[at];
    if (path === undefined)
      throw new AppError(`the job came without the file of its LoRA ${name}; submit it again`, { code: 'bad_request' });
    return { name: `${at + 1}-${name}`, path, weight };
  });
}

function itemOf({ id, request, temporary }: Batch['jobs'][number]): Generate['items'][number] {
  const { prompt, negativePrompt, seed } = request;
  return { job: id, prompt, negative_prompt: negativePrompt, seed, out: temporary };
}

function sharedOf(report: BatchReport, device: Device, engine: EngineFacts): BatchResult['shared'] {
  const { seconds, phases, energy, memory, steps, work } = report;
  const peakMemory = device.kind === 'cuda' ? memory?.peak_reserved_bytes : memory?.peak_rss_bytes;
  return { seconds, phases, peakMemory: peakMemory ?? null, peaks: peaksOf(memory), steps, work, energy, engine };
}

function peaksOf(memory: WorkerMemory | null): MemoryPeaks | null {
  if (memory === null || memory.peak_allocated_bytes === null) return null;
  const { peak_allocated_bytes: allocated, peak_reserved_bytes: reserved, peak_device_bytes: device } = memory;
  return { allocated, reserved, device };
}

/**
 * A worker that died over the load took time that is booked.
 * @throws the error, where it is not about this batch
 */
function answersTo(batch: Batch, error: unknown): readonly Failure[] {
  if (error instanceof OrderTooLarge) return batch.jobs.map((job) => tooLargeAnswer(batch, job, error));
  if (error instanceof UnavailableError || !(error instanceof AppError)) throw error;
  return failuresOf(batch, error);
}

/** Only what is too large by itself can never be made; the others wait for a smaller batch. */
function tooLargeAnswer(batch: Batch, job: Batch['jobs'][number], error: OrderTooLarge): Failure {
  const isToBlame = batch.jobs.length === 1 || !fitsAlone(batch, job);
  return failureOf(job.id, isToBlame ? new AppError(error.message, { code: 'bad_request' }) : error);
}

/** But for the few characters by which heads of messages differ; the next try knows better. */
function fitsAlone(batch: Batch, job: Batch['jobs'][number]): boolean {
  const order = { batch: batch.id, params: paramsOf(batch), items: [itemOf(job)], engine: '' };
  try {
    formatMessage({ v: PROTOCOL_VERSION, launch: '', seq: 1, type: 'generate', ...order });
    return true;
  } catch {
    return false;
  }
}
