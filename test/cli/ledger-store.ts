import type { Charge, Entry, LedgerRow, LedgerSum, Mark, Store, Stretch, SumKey } from '../../src/ports.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { nanoOf } from '../../src/units.ts';
import type { ManualClock } from '../support/manual-clock.ts';

/** What the ledger of a store does, by brute force: until `MemoryStore` does it itself. */
export function ledgerStore(clock: ManualClock): Store {
  const store: Store = new MemoryStore(clock);
  const rows: LedgerRow[] = [];
  const marks: Mark[] = [];
  const settle = store.settle.bind(store);
  const add = (row: Omit<LedgerRow, 'seq'>): boolean => {
    if (rows.some(({ id }) => id === row.id)) return false;
    rows.push({ ...row, seq: rows.length + 1 });
    return true;
  };
  return Object.assign(store, {
    settle: async (settlement: Parameters<Store['settle']>[0]) => {
      await settle(settlement);
      for (const entry of settlement.entries) add(rowOfEntry(entry));
      for (const stretch of settlement.meter?.stretches ?? []) add(rowOfStretch(stretch));
    },
    meter: async (booking: Parameters<Store['meter']>[0]) => {
      for (const mark of booking.marks) marks.push({ ...mark, number: marks.length + 1 });
      for (const stretch of booking.stretches) add(rowOfStretch(stretch));
    },
    charge: async (charges: readonly Charge[]) => charges.filter((charge) => add(rowOfCharge(charge))).length,
    chains: async () => [...new Set(marks.map(({ gpu }) => gpu))].map((gpu) => ({ gpu, booked: null, open: [] })),
    marksOf: async (...[gpu, span, after, limit]: Parameters<Store['marksOf']>) =>
      marks
        .filter(
          (mark) => mark.gpu === gpu && mark.at >= span.from && mark.at < span.to && mark.number > (after?.number ?? 0),
        )
        .slice(0, limit),
    ledger: async (...[span, after, limit]: Parameters<Store['ledger']>) =>
      rows.filter((row) => row.seq > after && row.at >= span.from && row.at < span.to).slice(0, limit),
    sums: async (...[span, by]: Parameters<Store['sums']>) =>
      summed(
        rows.filter((row) => row.at >= span.from && row.at < span.to),
        by,
      ),
  });
}

const NONE = { run_id: null, job_id: null, batch_id: null, gpu: null, from_at: null, to_at: null, device: null };

function rowOfEntry({
  id,
  at,
  kind,
  cause,
  runId,
  jobId,
  batchId,
  receipt,
  tags,
  span,
}: Entry): Omit<LedgerRow, 'seq'> {
  const millijoules = receipt.energy.joules === null ? null : Math.round(receipt.energy.joules * 1000);
  return {
    ...electricity(millijoules, receipt.cost.amount),
    id,
    at,
    kind,
    cause,
    service: receipt.provider,
    currency: receipt.cost.currency,
    cost_method: receipt.cost.method,
    bound_mj: null,
    energy_method: receipt.energy.method,
    meter: receipt.energy.meter,
    flags: receipt.energy.flags,
    price: receipt.price,
    run_id: runId,
    job_id: jobId,
    batch_id: batchId,
    gpu: span?.gpu ?? null,
    from_at: span?.from ?? null,
    to_at: span?.to ?? null,
    device: receipt.device,
    model: receipt.model,
    preset: receipt.preset,
    seconds: receipt.seconds.share,
    tags,
    corrects: null,
  };
}

function rowOfStretch(stretch: Stretch): Omit<LedgerRow, 'seq'> {
  const { id, gpu, from, to, kind, cause, millijoules, bound, method, meter, flags, cost, price, corrects } = stretch;
  return {
    ...NONE,
    ...electricity(millijoules, cost.amount),
    id,
    at: to - 1,
    kind,
    cause,
    service: 'electricity',
    currency: cost.currency,
    cost_method: cost.method,
    bound_mj: bound,
    energy_method: method,
    meter,
    flags,
    price,
    gpu,
    from_at: from,
    to_at: to,
    model: null,
    preset: null,
    seconds: (to - from) / 1000,
    tags: {},
    corrects,
  };
}

function rowOfCharge({ resourceType, unitCost, amount, method, ...charge }: Charge): Omit<LedgerRow, 'seq'> {
  return {
    ...NONE,
    ...charge,
    cause: null,
    resource_type: resourceType,
    unit_cost: unitCost,
    total_cost: amount,
    cost_method: method,
    energy_mj: 0,
    bound_mj: 0,
    energy_method: 'measured',
    flags: [],
    price: null,
    model: null,
    preset: null,
    seconds: 0,
  };
}

function electricity(energy: number | null, cost: number | null) {
  const quantity = energy === null ? null : energy / 3.6e9;
  const unit_cost = cost === null || !quantity ? null : cost / quantity;
  return { resource_type: 'electricity', quantity, unit_cost, total_cost: cost, energy_mj: energy };
}

const QUARTER = 900_000;

function summed(rows: readonly LedgerRow[], by: readonly SumKey[]): readonly LedgerSum[] {
  const keysOf = (row: LedgerRow) => {
    const all = { ...row, slot: row.at - (row.at % QUARTER), run: row.run_id, tags: sortedJson(row.tags) };
    const key = (name: SumKey) => (by.includes(name) ? all[name] : null);
    return {
      slot: by.includes('slot') ? all.slot : null,
      service: key('service') as string | null,
      model: key('model') as string | null,
      preset: key('preset') as string | null,
      run: key('run') as string | null,
      tags: key('tags') as string | null,
      gpu: key('gpu') as string | null,
      kind: row.kind,
      cause: row.cause,
      currency: row.currency,
      energyMethod: row.energy_method,
      costMethod: row.cost_method,
    };
  };
  const groups = Map.groupBy(rows, (row) => JSON.stringify(keysOf(row)));
  return [...groups].map(([key, group]): LedgerSum => {
    const costs = group.flatMap(({ total_cost }) => (total_cost === null ? [] : [nanoOf(total_cost)]));
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const keys = JSON.parse(key) as ReturnType<typeof keysOf>;
    return {
      ...keys,
      entries: group.length,
      millijoules: keys.energyMethod === 'unknown' ? null : sum(group.map((row) => row.energy_mj ?? 0)),
      bound: sum(group.map((row) => row.bound_mj ?? 0)),
      nano: costs.length === 0 ? null : costs.reduce((total, nano) => total + nano, 0n),
      seconds: sum(group.map((row) => row.seconds)),
      squares: sum(group.map((row) => (row.total_cost ?? 0) ** 2)),
      leastNano: costs.toSorted(compare)[0] ?? null,
      mostNano: costs.toSorted(compare).at(-1) ?? null,
    };
  });
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}

function sortedJson(tags: LedgerRow['tags']): string {
  return JSON.stringify(Object.fromEntries(Object.entries(tags).sort()));
}
