import type { Charge, Entry, LedgerRow, Stretch } from '../ports.ts';
import { type EpochMillis, kwhOf, type MoneyFigure, nanoOf } from '../units.ts';

/** The last millisecond of a row's time: a stretch from 10:00 to 10:15 ended in the quarter of 10:00. */
export function endOf({ at, from_at, to_at }: LedgerRow): EpochMillis {
  return from_at === null || to_at === null ? at : Math.max(from_at, to_at - 1);
}

export function rowOfEntry(entry: Entry & { readonly seq: number }): LedgerRow {
  const { receipt, span } = entry;
  const { joules, method, meter, flags, bound_joules } = receipt.energy;
  return {
    id: entry.id,
    seq: entry.seq,
    at: entry.at,
    kind: entry.kind,
    cause: entry.cause,
    service: receipt.provider,
    ...electricity(joules === null ? null : Math.round(joules * 1000), receipt.cost),
    bound_mj: bound_joules === undefined ? null : Math.round(bound_joules * 1000),
    energy_method: method,
    meter,
    flags,
    price: receipt.price,
    run_id: entry.runId,
    job_id: entry.jobId,
    batch_id: receipt.batch.id,
    gpu: span?.gpu ?? null,
    from_at: span?.from ?? null,
    to_at: span?.to ?? null,
    device: receipt.device,
    model: receipt.model,
    preset: receipt.preset,
    seconds: receipt.seconds.share,
    tags: entry.tags,
    corrects: null,
  };
}

export function rowOfStretch(stretch: Stretch, seq: number): LedgerRow {
  const { id, gpu, from, to, kind, cause, batchId, millijoules, bound, method, meter, flags, price, corrects } =
    stretch;
  return {
    id,
    seq,
    at: to,
    kind,
    cause,
    service: 'electricity',
    ...electricity(millijoules, stretch.cost),
    bound_mj: bound,
    energy_method: method,
    meter,
    flags,
    price,
    run_id: null,
    job_id: null,
    batch_id: batchId,
    gpu,
    from_at: from,
    to_at: to,
    device: null,
    model: null,
    preset: null,
    // The time of a correction is that of what it corrects, and counts once.
    // The time of a warm-up is in the entries of its batch.
    seconds: corrects === null && cause !== 'compile' && cause !== 'warmup' ? (to - from) / 1000 : 0,
    tags: {},
    corrects,
  };
}

export function rowOfCharge(charge: Charge, seq: number): LedgerRow {
  const { id, at, kind, service, resourceType, quantity, unitCost, amount, currency, method, meter, tags } = charge;
  return {
    id,
    seq,
    at,
    kind,
    cause: null,
    service,
    resource_type: resourceType,
    quantity,
    unit_cost: unitCost,
    total_cost: amount,
    currency,
    cost_method: method,
    energy_mj: 0,
    bound_mj: 0,
    energy_method: 'measured',
    meter,
    flags: [],
    price: null,
    run_id: null,
    job_id: null,
    batch_id: null,
    gpu: null,
    from_at: null,
    to_at: null,
    device: null,
    model: null,
    preset: null,
    seconds: 0,
    tags,
    corrects: charge.corrects,
  };
}

function electricity(millijoules: number | null, { amount, currency, method }: MoneyFigure) {
  const quantity = millijoules === null ? null : kwhOf(millijoules);
  const total_cost = amount === null ? null : Number(nanoOf(amount)) / 1e9;
  const unit_cost = quantity === null || quantity === 0 || total_cost === null ? null : total_cost / quantity;
  const money = { unit_cost, total_cost, currency, cost_method: method };
  return { resource_type: 'electricity', quantity, ...money, energy_mj: millijoules };
}
