import { AppError } from '../errors.ts';
import type { Batch, BatchResult, Device, Failure, Job } from '../ports.ts';
import { AUTO, type Preset } from '../preset/catalogue.ts';
import type { Choice } from '../preset/explanation.ts';
import type { Exhausted } from '../preset/question.ts';
import { sizeOf } from '../preset/shape.ts';
import { type Chooser, kindOf } from './chooser.ts';
import { failuresOf, firstOf, refusal } from './refusal.ts';
import { spillOf } from './spill.ts';

export interface RungsOptions {
  readonly chooser: Chooser;
  /** The driver of this host's cards goes on in the host's memory instead of failing, as under WSL2. */
  readonly spills?: boolean;
  log(line: string): void;
}

/** What came of a batch that was tried with a preset. */
export interface Attempt {
  readonly result: BatchResult;
  /** What ran out of memory, of the device's or of the host's: the load, a batch of this many, or nothing. */
  readonly ranOut: 'load' | number | null;
  /** The engine was in place: what was refused then is refused of such pictures only. */
  readonly loaded?: boolean;
  /** The batch as a whole was too large for its worker to be told of; each of its jobs alone is not. */
  readonly tooLarge?: boolean;
}

const OUT_OF_MEMORY = 'out_of_memory';
const CANNOT_HOLD = /^preset_/;

/**
 * Which settings a batch is made with, and what is learned from how it went: what did not fit into memory, what batches
 * take, and which models make black pictures without the safe settings. Nothing is tried of which the end is known.
 */
export class Rungs {
  readonly #options: RungsOptions;
  readonly #chooser: Chooser;
  /** Models, each with the preset asked for, whose pictures were black and with the safe settings were not. */
  readonly #dark = new Set<string>();
  /** Models with preset and shape, of whose jobs several were too large for one order: they go alone from then on. */
  readonly #alone = new Set<string>();

  constructor(options: RungsOptions) {
    this.#options = options;
    this.#chooser = options.chooser;
  }

  /** At least one, so that a job for which nothing is left to try gets its answer too. */
  limit(job: Job, device: Device, safe: boolean): number {
    if (!this.#chooser.knows(job.preset) || this.#alone.has(kindOf(job))) return 1;
    const choice = this.#choiceFor(job, device, safe);
    return 'exhausted' in choice ? 1 : Math.max(1, choice.limit);
  }

  /** @throws AppError with the reason, where nothing is left to try */
  explain(job: Job, device: Device): Choice {
    return choiceIn(this.#choiceFor(job, device, false));
  }

  /**
   * Has a batch tried with the preset that is chosen for it, and says in its answers whether another try can help. What
   * a worker will not load although `auto` chose it is left, and the next best is tried at once.
   */
  async make(batch: Batch, device: Device, attempt: (preset: Preset) => Promise<Attempt>): Promise<BatchResult> {
    const first = firstOf(batch);
    await this.#chooser.look(device);
    const loads: BatchResult['overhead'][number][] = [];
    for (;;) {
      let preset: Preset;
      try {
        preset = this.#presetFor(batch, device);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return refusal(failuresOf(batch, error), { preset: first.preset, overhead: loads });
      }
      const forget = this.#chooser.expect(first, device, preset);
      const tried = await attempt(preset).finally(forget);
      loads.push(...tried.result.overhead);
      const result = { ...tried.result, overhead: [...loads] };
      if (!this.#isRefused(first, device, preset, { ...tried, result }))
        return this.#judged(batch, device, preset, { ...tried, result });
      if ('exhausted' in this.#choiceFor(first, device, batch.safe)) return result;
    }
  }

  /** Learns from how it went. */
  #judged(batch: Batch, device: Device, preset: Preset, { result, ranOut, tooLarge }: Attempt): BatchResult {
    const first = firstOf(batch);
    if (tooLarge === true) this.#alone.add(kindOf(first));
    if (ranOut === null) {
      if (batch.safe) this.#noteLight(first, device, result);
      this.#noteFigures(batch, device, preset, result);
      return result;
    }
    this.#chooser.ranOut(first, device, preset, ranOut);
    const next = this.#choiceFor(first, device, batch.safe);
    return { ...result, answers: result.answers.map((answer) => withOutlook(answer, next)) };
  }

  /** @throws AppError that is the answer of all jobs */
  #presetFor(batch: Batch, device: Device): Preset {
    const first = firstOf(batch);
    const choice = choiceIn(this.#choiceFor(first, device, batch.safe));
    // `auto` has been told already; whoever asks by name is answered without another full load.
    const refusal = this.#chooser.refusal(first, device, choice.preset);
    if (refusal !== null) throw new AppError(refusal.message, { code: refusal.code });
    // It was formed before its limit was learned, perhaps on another worker with the same memory. Whoever forms the
    // next one asks for the limit, and gets one that is not over it: a refusal cannot repeat without end.
    const limit = this.#chooser.learnedLimit(first, device, choice.preset);
    if (limit === null || batch.jobs.length <= limit) return choice.preset;
    const what = `${batch.jobs.length} pictures of ${sizeOf(first.request)} in one batch`;
    throw new AppError(`${what} do not fit on ${device.id}; ${nextClause(choice)}`, {
      code: OUT_OF_MEMORY,
      retryable: true,
    });
  }

  /** What was black is made safely or not at all; of the others many would come out well without. */
  #choiceFor(job: Job, device: Device, safe: boolean): Choice | Exhausted {
    if (safe) return this.#chooser.choice(job, device, true);
    const safely = this.#dark.has(darkKey(job)) ? this.#chooser.choice(job, device, true) : null;
    return safely === null || 'exhausted' in safely ? this.#chooser.choice(job, device, false) : safely;
  }

  /**
   * A worker alone knows its packages and its card; whoever asked for a preset by its name is told, `auto` goes on. What
   * was refused is not tried again until this process ends.
   */
  #isRefused(job: Job, device: Device, preset: Preset, { result: { answers }, loaded = false }: Attempt): boolean {
    const refusals = answers.flatMap((one) => (one.kind === 'failure' && CANNOT_HOLD.test(one.code) ? [one] : []));
    const [why] = refusals;
    if (why === undefined || refusals.length < answers.length) return false;
    this.#chooser.refused(job, device, preset, why, loaded ? 'shape' : 'engine');
    if (job.preset !== AUTO) return false;
    this.#options.log(
      `${device.id}: warning: auto does without ${preset.name} for ${job.request.model}: ${why.message}`,
    );
    return true;
  }

  #noteFigures(batch: Batch, device: Device, preset: Preset, { answers, shared, overhead }: BatchResult): void {
    const { steps, work, phases, peakMemory } = shared;
    // Where a picture was left out, the batch was smaller than it looks.
    if (steps === null || peakMemory === null || answers.some(({ kind }) => kind !== 'made')) return;
    const [job, size] = [firstOf(batch), answers.length];
    const before = this.#chooser.measured(job, device, preset, size);
    const asked = job.request.steps;
    const spilled = this.#options.spills === true && device.kind === 'cuda' ? spillOf(steps, asked, before) : null;
    if (spilled !== null) {
      this.#chooser.ranOut(job, device, preset, size);
      const what = `batches of ${size} with ${preset.name} are counted as out of memory`;
      const times = `a step took ${spilled.toFixed(1)} times as long as before`;
      this.#options.log(`${device.id}: warning: ${what}: ${times}, so the driver has moved them to the host's memory`);
      return;
    }
    const isCold = overhead.length > 0 || (work?.graphs ?? 0) > 0;
    const otherSeconds = phases.encode + phases.decode + phases.save;
    const figures = { batch: size, stepSeconds: phases.denoise / asked, otherSeconds, peakBytes: peakMemory };
    this.#chooser.took(job, device, preset, figures, isCold);
  }

  #noteLight(job: Job, device: Device, { answers }: BatchResult): void {
    if (this.#dark.has(darkKey(job)) || !answers.some((answer) => answer.kind === 'made')) return;
    this.#dark.add(darkKey(job));
    const what = `pictures of ${job.request.model} that were black with ${job.preset}`;
    this.#options.log(`${device.id}: ${what} are not with the VAE in float32; what fits is made so from here on`);
  }
}

/** @throws AppError where nothing is left to try */
function choiceIn(choice: Choice | Exhausted): Choice {
  if ('exhausted' in choice) throw new AppError(choice.exhausted, { code: choice.code });
  return choice;
}

function withOutlook(answer: BatchResult['answers'][number], next: Choice | Exhausted): BatchResult['answers'][number] {
  if (answer.kind === 'made' || answer.code !== OUT_OF_MEMORY) return answer;
  const outlook: Pick<Failure, 'message' | 'retryable'> =
    'exhausted' in next
      ? { message: next.exhausted, retryable: false }
      : { message: `${answer.message}; ${nextClause(next)}`, retryable: true };
  return { ...answer, ...outlook };
}

function nextClause({ preset, limit }: Choice): string {
  return `next are batches of ${limit} with ${preset.name}`;
}

function darkKey({ request, preset }: Job): string {
  return `${request.modelHash} ${preset}`;
}
