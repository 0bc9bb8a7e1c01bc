import type { Batch, BatchResult, EnergyReading, Job, Receipt, ReceiptDetails, WorkFigures } from '../ports.ts';
import { decimalOf, type EpochMillis, type Millijoules, type Seconds, type Watts, weakest } from '../units.ts';
import { share } from './share.ts';
import { priceOf, type Span, type Tariff } from './tariff.ts';

/** What energy is priced with, and what is assumed where no meter answered. */
export interface Prices {
  readonly tariff: Tariff;
  /** Draw under load by kind of device, from the configuration. */
  readonly watts: { readonly cpu: Watts; readonly gpu: Watts };
}

/**
 * One receipt for each job of the batch, failed ones included: a bad prompt keeps its share, and its
 * neighbours do not pay for it. Energy is divided in whole millijoules and time in whole microseconds by
 * pixels × steps × passes, so that both add up to the batch exactly.
 * @param at when the batch was settled: it ended then, where its meter does not say when
 */
export function receiptsFor(
  batch: Batch,
  result: Pick<BatchResult, 'shared'>,
  prices: Prices,
  provider: string,
  at: EpochMillis,
): ReadonlyMap<string, Receipt> {
  const { shared } = result;
  const weights = batch.jobs.map(workOf);
  const energy = withEstimate(shared.energy, shared.seconds, batch.device, prices);
  const millijoules = energy.millijoules === null ? null : share(energy.millijoules, weights);
  const bounds = energy.bound === undefined ? null : share(energy.bound, weights);
  const micros = share(microsOf(shared.seconds), weights);
  const span = spanOf(shared.energy, shared.seconds, at);
  return new Map(
    batch.jobs.map((job, place): [string, Receipt] => {
      const { id, preset, settings } = shared.engine;
      const engine = { engine: id, preset, settings, model: job.request.model };
      return [
        job.id,
        {
          v: 1,
          provider,
          device: batch.device,
          ...engine,
          batch: { id: batch.id, size: batch.jobs.length },
          seconds: timed((micros[place] ?? 0) / 1e6, shared.seconds),
          peak_memory_bytes: { value: shared.peakMemory, method: shared.peakMemory === null ? 'unknown' : 'measured' },
          ...pricedEnergy(partOf(energy, millijoules?.[place], bounds?.[place]), prices.tariff, span),
          ...detailsOf(shared),
        },
      ];
    }),
  );
}

/** As a job's receipt, for what a whole batch took beside its pictures: a load, or work that was lost. */
export function overheadReceipt(
  like: Receipt,
  spent: { readonly seconds: Seconds; readonly energy: EnergyReading },
  prices: Prices,
  at: EpochMillis,
): Receipt {
  const energy = withEstimate(spent.energy, spent.seconds, like.device, prices);
  const { steps: _, work: __, peaks: ___, ...same } = like;
  return {
    ...same,
    seconds: timed(microsOf(spent.seconds) / 1e6, spent.seconds),
    peak_memory_bytes: { value: null, method: 'unknown' },
    ...pricedEnergy(energy, prices.tariff, spanOf(spent.energy, spent.seconds, at)),
  };
}

/** How much of a batch one job is. Guidance above 1 takes a second pass at every step. */
function workOf({ request }: Job): number {
  return request.width * request.height * request.steps * (request.guidance > 1 ? 2 : 1);
}

/** What the batch's own meter told; a field that would say nothing is left out. */
function detailsOf({ engine, steps, work, peaks }: BatchResult['shared']): ReceiptDetails {
  return {
    ...(engine.downgrades.length > 0 && { downgrades: engine.downgrades }),
    ...(steps !== null && { steps: { count: steps.count, median_seconds: steps.median } }),
    ...(work !== null && { work: workDone(work) }),
    ...(peaks !== null && {
      peaks: { allocated_bytes: peaks.allocated, reserved_bytes: peaks.reserved, device_bytes: peaks.device },
    }),
  };
}

function workDone({ teraflops, mfu, calls, graphs, cachedPrompts }: WorkFigures): NonNullable<Receipt['work']> {
  return { teraflops, mfu, calls, graphs, cached_prompts: cachedPrompts };
}

type Energy = EnergyReading & { readonly flags: readonly string[] };

/** Where no meter answered, configured watts × time. Without a time there is nothing to estimate from. */
function withEstimate(reading: EnergyReading, seconds: Seconds, device: string, prices: Prices): Energy {
  const flags = reading.flags ?? [];
  if (reading.millijoules !== null) return { ...reading, millijoules: Math.round(reading.millijoules), flags };
  // What others burnt beside ours cannot be told: a guess would only hide that.
  if (reading.window?.foreign === null || !(seconds > 0))
    return { millijoules: null, method: 'unknown', meter: 'none', flags };
  const watts = device.startsWith('cpu') ? prices.watts.cpu : prices.watts.gpu;
  return {
    millijoules: Math.round(watts * seconds * 1000),
    method: 'assumed',
    meter: 'model',
    flags: [...flags, 'configured_watts'],
  };
}

/** Of one job, with its share of the bound. */
function partOf(
  { bound: _, ...whole }: Energy,
  millijoules: Millijoules | undefined,
  bound: Millijoules | undefined,
): Energy {
  return { ...whole, millijoules: millijoules ?? null, ...(bound !== undefined && { bound }) };
}

/** When the energy was burnt. */
function spanOf({ window }: EnergyReading, seconds: Seconds, at: EpochMillis): Span {
  return window ?? { from: at - Math.round(seconds * 1000), to: at };
}

function pricedEnergy(
  { millijoules, method, meter, flags, bound, window }: Energy,
  tariff: Tariff,
  span: Span,
): Pick<Receipt, 'energy' | 'cost' | 'price'> {
  const cost = millijoules === null ? null : priceOf(millijoules, tariff, span);
  const ratio = ratioOf(window);
  return {
    energy: {
      joules: millijoules === null ? null : millijoules / 1000,
      method,
      meter,
      flags,
      ...(bound !== undefined && { bound_joules: bound / 1000 }),
      ...(ratio !== null && { integral_ratio: ratio }),
    },
    cost: {
      amount: cost === null ? null : decimalOf(cost.nano),
      currency: tariff.currency,
      method: weakest([method, tariff.methodIn(span)]),
    },
    price: tariff.id,
  };
}

/** To four digits after the point; null where there are not both, or the counter did not rise. */
function ratioOf(window: EnergyReading['window']): number | null {
  const { counter, integral } = window ?? { counter: null, integral: null };
  if (counter === null || integral === null || counter.to <= counter.from) return null;
  return Math.round((10_000 * integral.millijoules) / (counter.to - counter.from)) / 10_000;
}

/** A whole of 0 is a batch or a load that ended before anyone could take its time. */
function timed(share: Seconds, whole: Seconds): Receipt['seconds'] {
  return { share, batch: microsOf(whole) / 1e6, method: whole > 0 ? 'measured' : 'unknown' };
}

function microsOf(seconds: Seconds): number {
  return Math.round(seconds * 1e6);
}
