import { writeFile } from 'node:fs/promises';
import { AppError, sentenceOf } from '../errors.ts';
import type { Batch, BatchResult, Check, Clock, Device, EnergyReading, Failure, Made, Provider } from '../ports.ts';
import { presetNamed } from '../preset/catalogue.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import { Calls } from './calls.ts';
import { gradientPng } from './gradient-png.ts';

/** Texts are looked for in prompts. */
export interface FakeScript {
  /** Fails the items with this prompt. */
  readonly failOn?: string;
  /** With this code; `black_image` if nothing else is said. */
  readonly failCode?: string;
  /** The worker dies at the first step of a batch that holds this prompt. */
  readonly dieOn?: string;
  readonly loadMillis?: Millis;
  /** Of one step of a batch, whatever its size. */
  readonly stepMillis?: Millis;
  /** What the meter says of every batch; by default there is no meter. */
  readonly energy?: EnergyReading;
}

export interface FakeProviderOptions {
  readonly clock: Clock;
  readonly script?: FakeScript;
  readonly devices?: readonly Device[];
  /** How many jobs one batch may hold. */
  readonly limit?: number;
}

const CPU: Device = { id: 'cpu', kind: 'cpu', uuid: null, name: 'a fake device' };
const UNKNOWN_ENERGY: EnergyReading = { millijoules: null, method: 'unknown', meter: 'none' };

type Answer = Made | Failure;
type Item = Batch['jobs'][number];
type OnProgress = NonNullable<Parameters<Provider['make']>[1]['onProgress']>;

/** Makes pictures in this process, without Python: gradients keyed by the seed. Misbehaves as its script says. */
export class FakeProvider implements Provider {
  readonly name = 'fake';
  readonly devices: readonly Device[];
  readonly #clock: Clock;
  readonly #script: FakeScript;
  readonly #limit: number;
  readonly #resident = new Map<string, string>();
  readonly #calls = new Calls('fake');

  constructor({ clock, script = {}, devices = [CPU], limit = 4 }: FakeProviderOptions) {
    this.devices = devices;
    this.#clock = clock;
    this.#script = script;
    this.#limit = limit;
  }

  limit(_key: string, _device: string): number {
    return this.#limit;
  }

  resident(device: string): string | null {
    return this.#resident.get(device) ?? null;
  }

  make(batch: Batch, { signal, onProgress }: Parameters<Provider['make']>[1]): Promise<BatchResult> {
    return this.#calls.run(signal, (either) => this.#make(batch, either, (progress) => onProgress?.(progress)));
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'fake', status: 'ok', detail: 'draws gradients in this process' }];
  }

  async close(): Promise<void> {
    this.#calls.close();
    this.#resident.clear();
  }

  async #make(batch: Batch, signal: AbortSignal, onProgress: OnProgress): Promise<BatchResult> {
    const refusal = refusalOf(batch);
    const overhead = refusal === null ? await this.#load(batch, signal, onProgress) : [];
    const begun = this.#clock.monotonic();
    const dies = refusal === null && batch.jobs.some((job) => mentions(job, this.#script.dieOn));
    if (refusal === null && !dies) await this.#denoise(batch, signal, onProgress);
    const seconds = (this.#clock.monotonic() - begun) / 1_000;
    if (dies) this.#resident.delete(batch.device);
    const failure = dies
      ? new AppError('the fake worker died, as it was told to', { code: 'worker_died', retryable: true })
      : refusal;
    const answers = await Promise.all(
      batch.jobs.map((job) => (failure === null ? this.#save(job) : failed(job, failure))),
    );
    return { answers, shared: this.#shared(batch, seconds), overhead };
  }

  async #load(batch: Batch, signal: AbortSignal, onProgress: OnProgress): Promise<BatchResult['overhead']> {
    const hash = batch.jobs[0]?.request.modelHash ?? '';
    if (this.#resident.get(batch.device) === hash) return [];
    const { loadMillis = 0 } = this.#script;
    onProgress({ batch: batch.id, phase: 'load', step: 0, steps: 1 });
    await pause(this.#clock, loadMillis, signal);
    this.#resident.set(batch.device, hash);
    onProgress({ batch: batch.id, phase: 'load', step: 1, steps: 1 });
    return [{ cause: 'load', seconds: loadMillis / 1_000, energy: UNKNOWN_ENERGY }];
  }

  async #denoise(batch: Batch, signal: AbortSignal, onProgress: OnProgress): Promise<void> {
    const steps = batch.jobs[0]?.request.steps ?? 0;
    for (let step = 1; step <= steps; step += 1) {
      await pause(this.#clock, this.#script.stepMillis ?? 0, signal);
      onProgress({ batch: batch.id, phase: 'denoise', step, steps });
      signal.throwIfAborted();
    }
  }

  async #save(job: Item): Promise<Answer> {
    if (mentions(job, this.#script.failOn)) {
      const { failCode: code = 'black_image' } = this.#script;
      return failed(job, new AppError('the fake provider was told to fail this picture', { code }));
    }
    const { seed, width, height } = job.request;
    await writeFile(job.temporary, gradientPng(seed, width, height));
    return { kind: 'made', job: job.id, temporary: job.temporary, width, height };
  }

  #shared(batch: Batch, seconds: number): BatchResult['shared'] {
    return {
      seconds,
      phases: { encode: 0, denoise: seconds, decode: 0, save: 0 },
      peakMemory: null,
      energy: this.#script.energy ?? UNKNOWN_ENERGY,
      engine: { id: 'fake', preset: batch.jobs[0]?.preset ?? 'auto', settings: { device: batch.device }, versions: {} },
    };
  }
}

/** Why no job of the batch can be made; null if they can. */
function refusalOf(batch: Batch): AppError | null {
  const formats = batch.jobs.map((job) => job.format).filter((format) => format !== 'png');
  if (formats.length > 0)
    return new AppError(`the fake provider writes PNG, not ${formats[0]}`, { code: 'bad_request' });
  try {
    for (const job of batch.jobs) presetNamed(job.preset);
    return null;
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
}

function failed({ id }: Item, error: AppError): Failure {
  return { kind: 'failure', job: id, code: error.code, message: sentenceOf(error), retryable: error.retryable };
}

function mentions({ request }: Item, text: string | undefined): boolean {
  return text !== undefined && request.prompt.includes(text);
}
