import { AppError } from '../errors.ts';
import type { Batch, BatchResult, Clock, Device, Failure, Job } from '../ports.ts';
import { AUTO, PRESETS, type Preset, presetNamed } from '../preset/catalogue.ts';
import type { Choice } from '../preset/explanation.ts';
import { type Rung, rungFor, shapeOf, sizeOf } from '../preset/ladder.ts';
import { LearnedLimits, type LimitKeeper, memoryOf } from './learned-limits.ts';
import { failuresOf, firstOf, refusal } from './refusal.ts';

export interface RungsOptions {
  /** How many jobs a batch may hold at most, instead of what its preset says. */
  readonly most: number | undefined;
  readonly memory: LimitKeeper;
  /** That can be asked for by name. */
  readonly presets?: readonly Preset[];
  /** Says how old a limit is. */
  readonly clock: Pick<Clock, 'now'>;
  log(line: string): void;
}

/** What came of a batch that was tried with a preset. */
export interface Attempt {
  readonly result: BatchResult;
  /** What ran out of memory, of the device's or of the host's: the load, a batch of this many, or nothing. */
  readonly ranOut: 'load' | number | null;
  /** The batch as a whole was too large for its worker to be told of; each of its jobs alone is not. */
  readonly tooLarge?: boolean;
}

const OUT_OF_MEMORY = 'out_of_memory';

/**
 * Which settings a batch is made with. It keeps what was learned: what did not fit into memory, and which models make
 * black pictures without the safe settings. Nothing is tried of which the end is known.
 */
export class Rungs {
  readonly #options: RungsOptions;
  readonly #limits: LearnedLimits;
  readonly #presets: readonly Preset[];
  /** Models, each with the preset asked for, whose pictures were black and with the safe settings were not. */
  readonly #dark = new Set<string>();
  /** Models with preset and shape, of whose jobs several were too large for one order: they go alone from then on. */
  readonly #alone = new Set<string>();

  constructor(options: RungsOptions) {
    this.#options = options;
    this.#presets = options.presets ?? PRESETS;
    this.#limits = new LearnedLimits(options.memory, options.clock);
  }

  /** At least one, so that a job for which nothing is left to try gets its answer too. */
  limit(job: Job, device: Device, safe: boolean): number {
    const known = job.preset === AUTO || this.#presets.some(({ name }) => name === job.preset);
    if (!known || this.#alone.has(kindKey(job))) return 1;
    const rung = this.#rungFor(job, device, safe);
    return 'exhausted' in rung ? 1 : Math.max(1, rung.limit);
  }

  /** @throws AppError `out_of_memory` where nothing is left to try */
  explain(job: Job, device: Device): Choice {
    const rung = this.#rungFor(job, device, false);
    if ('exhausted' in rung) throw new AppError(rung.exhausted, { code: OUT_OF_MEMORY });
    const reason = `${rung.preset.name} is what was asked for, or the next below it that did not run out of memory`;
    return { ...rung, reason, room: { device: null, host: null, reserve: 0 }, considered: [] };
  }

  /** Has a batch tried with the preset that is left for it, and says in its answers whether another try can help. */
  async make(batch: Batch, device: Device, attempt: (preset: Preset) => Promise<Attempt>): Promise<BatchResult> {
    const first = firstOf(batch);
    let preset: Preset;
    try {
      preset = this.#presetFor(batch, device);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      return refusal(failuresOf(batch, error), { preset: first.preset });
    }
    const { result, ranOut, tooLarge } = await attempt(preset);
    if (tooLarge === true) this.#alone.add(kindKey(first));
    if (ranOut === null) {
      if (batch.safe) this.#noteLight(first, device, result);
      return result;
    }
    this.#limits.ranOut(placeOf(first, device), preset.name, ranOut);
    const next = this.#rungFor(first, device, batch.safe);
    return { ...result, answers: result.answers.map((answer) => withOutlook(answer, next)) };
  }

  /** @throws AppError that is the answer of all jobs */
  #presetFor(batch: Batch, device: Device): Preset {
    const first = firstOf(batch);
    const rung = this.#rungFor(first, device, batch.safe);
    if ('exhausted' in rung) throw new AppError(rung.exhausted, { code: OUT_OF_MEMORY });
    // It was formed before its limit was learned, perhaps on another worker with the same memory. Whoever forms the
    // next one asks for the limit, and gets the one that this is judged by: a refusal cannot repeat without end.
    const known = this.#limits.of(placeOf(first, device)).size > 0;
    if (!known || batch.jobs.length <= this.limit(first, device, batch.safe)) return rung.preset;
    const what = `${batch.jobs.length} pictures of ${sizeOf(first.request)} in one batch`;
    throw new AppError(`${what} do not fit on ${device.id}; ${nextClause(rung)}`, {
      code: OUT_OF_MEMORY,
      retryable: true,
    });
  }

  /** What was black is made safely or not at all; of the others many would come out well without. */
  #rungFor(job: Job, device: Device, safe: boolean): Rung {
    if (safe) return this.#ladder(job, device, true);
    const safely = this.#dark.has(darkKey(job)) ? this.#ladder(job, device, true) : null;
    return safely === null || 'exhausted' in safely ? this.#ladder(job, device, false) : safely;
  }

  #ladder(job: Job, device: Device, safe: boolean): Rung {
    return rungFor({
      preset: job.preset === AUTO ? { ...presetNamed('plain'), name: AUTO } : presetNamed(job.preset, this.#presets),
      presets: this.#presets,
      safe,
      most: this.#options.most,
      fits: this.#limits.of(placeOf(job, device)),
      size: sizeOf(job.request),
      device: device.id,
    });
  }

  #noteLight(job: Job, device: Device, { answers }: BatchResult): void {
    if (this.#dark.has(darkKey(job)) || !answers.some((answer) => answer.kind === 'made')) return;
    this.#dark.add(darkKey(job));
    const what = `pictures of ${job.request.model} that were black with ${job.preset}`;
    this.#options.log(`${device.id}: ${what} are not with the VAE in float32; what fits is made so from here on`);
  }
}

function withOutlook(answer: BatchResult['answers'][number], next: Rung): BatchResult['answers'][number] {
  if (answer.kind === 'made' || answer.code !== OUT_OF_MEMORY) return answer;
  const outlook: Pick<Failure, 'message' | 'retryable'> =
    'exhausted' in next
      ? { message: next.exhausted, retryable: false }
      : { message: `${answer.message}; ${nextClause(next)}`, retryable: true };
  return { ...answer, ...outlook };
}

function nextClause({ preset, limit }: Exclude<Rung, { readonly exhausted: string }>): string {
  return `next are batches of ${limit} with ${preset.name}`;
}

function placeOf({ request }: Job, device: Device): { device: string; model: string; shape: string } {
  return { device: memoryOf(device), model: request.modelHash, shape: shapeOf(request) };
}

function darkKey({ request, preset }: Job): string {
  return `${request.modelHash} ${preset}`;
}

function kindKey(job: Job): string {
  return `${darkKey(job)} ${shapeOf(job.request)}`;
}
