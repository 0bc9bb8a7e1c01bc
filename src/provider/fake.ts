import { writeFile } from 'node:fs/promises';
import { AppError, UnavailableError } from '../errors.ts';
import type {
  Batch,
  BatchResult,
  Check,
  Clock,
  Device,
  EnergyReading,
  Failure,
  Job,
  Made,
  Provider,
} from '../ports.ts';
import type { Preset } from '../preset/catalogue.ts';
import { engineOf } from '../preset/engine.ts';
import type { Choice } from '../preset/explanation.ts';
import { pause } from '../process/clock.ts';
import type { Bytes, Millis } from '../units.ts';
import { abandonedAnswers, isAbandoned, type Wishes, whileWanted } from './abandonment.ts';
import { Calls } from './calls.ts';
import { type ChoiceParts, Chooser, type Loaded } from './chooser.ts';
import { gradientPng } from './gradient-png.ts';
import { failureOf, failuresOf, firstOf, givenUpFailure, refusal } from './refusal.ts';
import { type Attempt, Rungs, type RungsOptions } from './rungs.ts';

/** Texts are looked for in prompts. */
export interface FakeScript {
  /** Fails the items with this prompt. */
  readonly failOn?: string;
  /** With this code; `black_image` if nothing else is said. */
  readonly failCode?: string;
  /** The pictures of this prompt are black without the safe settings. */
  readonly blackOn?: string;
  /** The worker dies at the first step of a batch that holds this prompt. */
  readonly dieOn?: string;
  /** By the name of a preset: batches with more pixels than this in all run out of memory. */
  readonly memoryPixels?: Readonly<Record<string, number>>;
  readonly loadMillis?: Millis;
  /** Of one step of a batch, whatever its size. */
  readonly stepMillis?: Millis;
  /** What the worker holds at most, whatever is made; not set: that is not known. */
  readonly peakBytes?: Bytes;
  /** By the name of a preset, why its load is refused. */
  readonly refuses?: Readonly<Record<string, string>>;
  /** By the name of a preset, why it makes no pictures with LoRAs, which shows when it is loaded. */
  readonly refusesLoras?: Readonly<Record<string, string>>;
  /** What the meter says of every batch; by default there is no meter. */
  readonly energy?: EnergyReading;
  /** Which devices are in quarantine now; by default none is. */
  quarantine?(device: string): ReturnType<Provider['quarantine']>;
}

export interface FakeProviderOptions extends ChoiceParts, Pick<RungsOptions, 'spills'> {
  readonly clock: Clock;
  readonly script?: FakeScript;
  readonly devices?: readonly Device[];
  log?(line: string): void;
}

const CPU: Device = { id: 'cpu', kind: 'cpu', uuid: null, name: 'a fake device' };
const UNKNOWN_ENERGY: EnergyReading = { millijoules: null, method: 'unknown', meter: 'none' };
const NOBODY: ReadonlyMap<string, AbortSignal> = new Map();

type Item = Batch['jobs'][number];
type MakeOptions = Parameters<Provider['make']>[1];

/** A batch on its way, and who gives it up. */
interface Call extends Wishes {
  readonly batch: Batch;
  readonly preset: Preset;
  readonly onProgress: NonNullable<MakeOptions['onProgress']>;
}

/** Makes pictures in this process, without Python: gradients keyed by the seed. Misbehaves as its script says. */
export class FakeProvider implements Provider {
  readonly name = 'fake';
  readonly devices: readonly Device[];
  readonly #clock: Clock;
  readonly #script: FakeScript;
  readonly #rungs: Rungs;
  readonly #loaded = new Map<string, Loaded>();
  readonly #calls = new Calls('fake');

  constructor(options: FakeProviderOptions) {
    const { clock, script = {}, devices = [CPU], spills = false } = options;
    this.devices = devices;
    this.#clock = clock;
    this.#script = script;
    const chooser = new Chooser({ ...options, loaded: (device) => this.#loaded.get(device) ?? null });
    this.#rungs = new Rungs({ chooser, spills, log: (line) => options.log?.(line) });
  }

  limit(job: Job, device: string, safe: boolean): number {
    return this.#rungs.limit(job, this.#deviceOf(device), safe);
  }

  explain(job: Job, device: string): Choice {
    return this.#rungs.explain(job, this.#deviceOf(device));
  }

  resident(device: string): string | null {
    return this.#loaded.get(device)?.modelHash ?? null;
  }

  /** There is none but our own. */
  pids(): readonly number[] {
    return [];
  }

  quarantine(device: string): ReturnType<Provider['quarantine']> {
    return this.#script.quarantine?.(device) ?? null;
  }

  make(batch: Batch, options: MakeOptions): Promise<BatchResult> {
    return this.#calls.run(batch.device, options.signal, async (signal) => {
      this.#refuseQuarantined(batch.device);
      const { givenUp = NOBODY } = options;
      const onProgress: Call['onProgress'] = (progress) => options.onProgress?.(progress);
      return await this.#rungs.make(batch, this.#deviceOf(batch.device), (preset) =>
        this.#attempt({ batch, preset, signal, givenUp, onProgress }),
      );
    });
  }

  async rest(device: string): Promise<void> {
    this.#calls.requireIdle(device);
    this.#loaded.delete(device);
  }

  async check(): Promise<readonly Check[]> {
    return [{ name: 'fake', status: 'ok', detail: 'draws gradients in this process' }];
  }

  async close(): Promise<void> {
    this.#calls.close();
    this.#loaded.clear();
  }

  async #attempt(call: Call): Promise<Attempt> {
    const { batch, preset, givenUp } = call;
    const refused = isAbandoned(batch, givenUp) ? abandonedAnswers(batch, givenUp) : formatFailures(batch);
    if (refused !== null) return { result: refusal(refused, { preset: preset.name }), ranOut: null };
    const why = this.#script.refuses?.[preset.name];
    if (why !== undefined) {
      const answers = failuresOf(batch, new AppError(why, { code: 'preset_impossible' }));
      return { result: refusal(answers, { preset: preset.name }), ranOut: null };
    }
    const overhead = await this.#load(call);
    if (isAbandoned(batch, givenUp)) {
      const answers = abandonedAnswers(batch, givenUp);
      return { result: refusal(answers, { preset: preset.name, overhead }), ranOut: null };
    }
    const whyNot = firstOf(batch).loraPaths.length > 0 ? this.#script.refusesLoras?.[preset.name] : undefined;
    if (whyNot !== undefined) {
      const answers = failuresOf(batch, new AppError(whyNot, { code: 'preset_impossible' }));
      return { result: refusal(answers, { preset: preset.name, overhead }), ranOut: null, loaded: true };
    }
    const wanted = batch.jobs.filter((job) => !isGivenUp(call, job));
    const begun = this.#clock.monotonic();
    const end = this.#endOf(batch, preset, wanted);
    if (end === null) await this.#denoise(call);
    else this.#loaded.delete(batch.device);
    const seconds = (this.#clock.monotonic() - begun) / 1_000;
    const answers = await Promise.all(batch.jobs.map((job) => this.#answer(call, job, end)));
    const result = { answers, shared: this.#shared(batch, preset, seconds), overhead };
    return { result, ranOut: end?.code === 'out_of_memory' ? wanted.length : null };
  }

  async #load(call: Call): Promise<BatchResult['overhead']> {
    const { batch, preset, onProgress } = call;
    const { modelHash } = firstOf(batch).request;
    const loaded = this.#loaded.get(batch.device);
    if (loaded?.modelHash === modelHash && engineOf(loaded.preset) === engineOf(preset)) return [];
    const { loadMillis = 0 } = this.#script;
    onProgress({ batch: batch.id, phase: 'load', step: 0, steps: 1 });
    const begun = this.#clock.monotonic();
    this.#loaded.delete(batch.device);
    try {
      await whileWanted(batch, call, (either) => pause(this.#clock, loadMillis, either));
      this.#loaded.set(batch.device, { modelHash, preset });
      onProgress({ batch: batch.id, phase: 'load', step: 1, steps: 1 });
    } catch (error) {
      if (call.signal.aborted || !isAbandoned(batch, call.givenUp)) throw error;
    }
    return [{ cause: 'load', seconds: (this.#clock.monotonic() - begun) / 1_000, energy: UNKNOWN_ENERGY }];
  }

  /** What ends the process before the first step; null if nothing does. */
  #endOf(batch: Batch, preset: Preset, wanted: readonly Item[]): AppError | null {
    const { width, height } = firstOf(batch).request;
    const pixels = wanted.length * width * height;
    if (pixels > (this.#script.memoryPixels?.[preset.name] ?? pixels))
      return new AppError('the fake device ran out of memory', { code: 'out_of_memory', retryable: true });
    if (!wanted.some((job) => mentions(job, this.#script.dieOn))) return null;
    return new AppError('the fake worker died, as it was told to', { code: 'worker_died', retryable: true });
  }

  async #denoise(call: Call): Promise<void> {
    const { batch, signal, onProgress } = call;
    const { steps } = firstOf(batch).request;
    onProgress({ batch: batch.id, phase: 'encode', step: 0, steps: 1 });
    for (let step = 1; step <= steps && !batch.jobs.every((job) => isGivenUp(call, job)); step += 1) {
      await pause(this.#clock, this.#script.stepMillis ?? 0, signal);
      onProgress({ batch: batch.id, phase: 'denoise', step, steps });
      signal.throwIfAborted();
    }
  }

  async #answer(call: Call, job: Item, end: AppError | null): Promise<Made | Failure> {
    if (isGivenUp(call, job)) return abandoned(call, job);
    if (end !== null) return failureOf(job.id, end);
    const { failOn, failCode = 'black_image', blackOn } = this.#script;
    const black = call.preset.settings.vae_dtype !== 'float32' && mentions(job, blackOn);
    if (black || mentions(job, failOn)) {
      const code = black ? 'black_image' : failCode;
      return failureOf(job.id, new AppError('the fake provider was told to fail this picture', { code }));
    }
    const { seed, width, height } = job.request;
    await writeFile(job.temporary, gradientPng(seed, width, height));
    return { kind: 'made', job: job.id, temporary: job.temporary, width, height };
  }

  #shared(batch: Batch, { name, settings }: Preset, seconds: number): BatchResult['shared'] {
    const { device } = batch;
    const { steps } = firstOf(batch).request;
    const each = seconds / steps;
    return {
      seconds,
      phases: { encode: 0, denoise: seconds, decode: 0, save: 0 },
      peakMemory: this.#script.peakBytes ?? null,
      peaks: null,
      steps: { count: steps, first: each, median: each, slowest: each },
      work: null,
      energy: this.#script.energy ?? UNKNOWN_ENERGY,
      engine: {
        id: `fake-${name}`,
        preset: name,
        settings: { device, vae_dtype: settings.vae_dtype },
        downgrades: [],
        versions: {},
      },
    };
  }

  #deviceOf(device: string): Device {
    const found = this.devices.find(({ id }) => id === device);
    if (found !== undefined) return found;
    throw new UnavailableError(`the fake provider has no device ${device}`, { code: 'device_missing' });
  }

  #refuseQuarantined(device: string): void {
    const quarantine = this.quarantine(device);
    if (quarantine === null) return;
    const message = `${device} is in quarantine: ${quarantine.reason}`;
    throw new UnavailableError(message, { code: 'device_quarantined', retryable: true });
  }
}

/** For a batch in a format that it cannot write; null for any other. */
function formatFailures(batch: Batch): readonly Failure[] | null {
  const other = batch.jobs.find(({ format }) => format !== 'png');
  if (other === undefined) return null;
  const message = `the fake provider writes PNG, not ${other.format}`;
  return failuresOf(batch, new AppError(message, { code: 'bad_request' }));
}

function isGivenUp({ givenUp }: Call, { id }: Item): boolean {
  return givenUp.get(id)?.aborted === true;
}

function abandoned({ givenUp }: Call, { id }: Item): Failure {
  return givenUpFailure(id, givenUp.get(id)?.reason);
}

function mentions({ request }: Item, text: string | undefined): boolean {
  return text !== undefined && request.prompt.includes(text);
}
