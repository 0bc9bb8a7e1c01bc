import { QUARTER_MS } from '../cost/local-days.ts';
import type { LedgerRow, LedgerSum, SumKey } from '../ports.ts';
import { nanoOf } from '../units.ts';
import { endOf } from './memory-rows.ts';
import { tagsText } from './tags.ts';

/** Sums of rows that agree in the keys that are asked for, and in kind, cause, currency and methods. */
export function sumsOf(rows: readonly LedgerRow[], by: readonly SumKey[]): readonly LedgerSum[] {
  const groups = Map.groupBy(rows, (row) => JSON.stringify(keysOf(row, by)));
  return [...groups.values()].flatMap((group) => (group[0] === undefined ? [] : [sumOf(keysOf(group[0], by), group)]));
}

type Keys = Pick<LedgerSum, SumKey | 'kind' | 'cause' | 'currency' | 'energyMethod' | 'costMethod'>;

function keysOf(row: LedgerRow, by: readonly SumKey[]): Keys {
  const asked = <Value>(key: SumKey, value: Value): Value | null => (by.includes(key) ? value : null);
  return {
    slot: asked('slot', endOf(row) - (endOf(row) % QUARTER_MS)),
    service: asked('service', row.service),
    model: asked('model', row.model),
    preset: asked('preset', row.preset),
    run: asked('run', row.run_id),
    tags: asked('tags', tagsText(row.tags)),
    gpu: asked('gpu', row.gpu),
    kind: row.kind,
    cause: row.cause,
    currency: row.currency,
    energyMethod: row.energy_method,
    costMethod: row.cost_method,
  };
}

function sumOf(keys: Keys, rows: readonly LedgerRow[]): LedgerSum {
  const amounts = rows.map((row) => row.total_cost).filter((amount) => amount !== null);
  const untold = rows.filter(({ flags }) => flags.includes('sharing_unknown'));
  const nanos = amounts.map(nanoOf).sort((a, b) => (a < b ? -1 : 1));
  return {
    ...keys,
    entries: rows.length,
    millijoules: keys.energyMethod === 'unknown' ? null : total(rows.map((row) => row.energy_mj ?? 0)),
    bound: rows.some((row) => row.bound_mj === null) ? null : total(rows.map((row) => row.bound_mj ?? 0)),
    untold: untold.length,
    untoldMillijoules: total(untold.map((row) => row.energy_mj ?? 0)),
    nano: keys.costMethod === 'unknown' ? null : nanos.reduce((sum, nano) => sum + nano, 0n),
    seconds: total(rows.map((row) => row.seconds)),
    squares: total(amounts.map((amount) => amount * amount)),
    leastNano: nanos[0] ?? null,
    mostNano: nanos.at(-1) ?? null,
  };
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
