/** Rows of a ledger as small as they may be, for every test that reads one. */
import type { Charge, Entry, LedgerSum, Stretch } from '../../src/ports.ts';
import { type EpochMillis, type Method, type Millijoules, nanoOf } from '../../src/units.ts';
import { receiptOf } from '../store/samples.ts';

/** 30 Cent a kilowatt-hour. */
const NANO_A_MILLIJOULE = 300_000_000 / 3.6e9;

let count = 0;

interface Booked {
  readonly at: EpochMillis;
  readonly millijoules?: Millijoules | null;
  readonly run?: string;
  readonly model?: string;
  readonly preset?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly gpu?: string;
  readonly method?: Method;
  readonly currency?: string;
}

/** A picture, or with a cause what was for none. */
export function entryOf({ at, millijoules = 3_600_000, ...more }: Booked, cause: Entry['cause'] = null): Entry {
  const { run = 'r1', model = 'tiny', preset = 'plain', tags = {}, gpu = 'GPU-1', currency = 'EUR' } = more;
  const method = millijoules === null ? 'unknown' : (more.method ?? 'measured');
  count += 1;
  return {
    id: `entry-${count}`,
    at,
    kind: cause === null ? 'active' : 'overhead',
    cause,
    runId: run,
    jobId: cause === null ? `${run}-${count}` : null,
    batchId: `b-${count}`,
    receipt: receiptOf(`b-${count}`, {
      model,
      preset,
      seconds: { share: 10, batch: 10, method: 'measured' },
      energy: { joules: millijoules === null ? null : millijoules / 1000, method, meter: 'nvml_counter', flags: [] },
      cost: { amount: costOf(millijoules), currency, method },
    }),
    tags,
    span: { gpu, from: at - 10_000, to: at },
  };
}

export function stretchOf(
  kind: Stretch['kind'],
  cause: Stretch['cause'],
  { at, millijoules = 3_600_000, gpu = 'GPU-1', method: said = 'measured', currency = 'EUR' }: Booked,
): Stretch {
  const method = millijoules === null ? 'unknown' : said;
  count += 1;
  return {
    id: `stretch-${count}`,
    gpu,
    from: at - 600_000,
    to: at,
    kind,
    cause,
    batchId: null,
    millijoules,
    bound: null,
    method,
    meter: 'nvml_counter',
    flags: [],
    cost: { amount: costOf(millijoules), currency, method },
    price: 'flat:0.3:EUR:config',
    corrects: null,
  };
}

export function chargeSample(at: EpochMillis, amount: number, change: Partial<Charge> = {}): Charge {
  count += 1;
  return {
    id: `charge-${count}`,
    at,
    kind: amount < 0 ? 'credit' : 'charge',
    service: 'midjourney',
    resourceType: 'subscription',
    quantity: 1,
    unitCost: Math.abs(amount),
    amount,
    currency: 'EUR',
    method: 'measured',
    meter: 'invoice',
    tags: {},
    corrects: null,
    ...change,
  };
}

/** A group of rows, for reports without a store. */
export function sumRow(kind: LedgerSum['kind'], change: Partial<LedgerSum> = {}): LedgerSum {
  const { entries = 1, millijoules = kind === 'charge' ? 0 : 3_600_000 * entries } = change;
  const nano = change.nano === undefined ? nanoOf(costOf(millijoules) ?? 0) : change.nano;
  const each = nano === null ? null : nano / BigInt(entries);
  return {
    slot: 0,
    service: kind === 'charge' ? 'midjourney' : 'electricity',
    model: null,
    preset: null,
    run: null,
    tags: '{}',
    gpu: 'GPU-1',
    kind,
    cause: null,
    currency: 'EUR',
    energyMethod: millijoules === null ? 'unknown' : 'measured',
    costMethod: nano === null ? 'unknown' : 'measured',
    bound: 1000 * entries,
    untold: 0,
    untoldMillijoules: 0,
    seconds: 10 * entries,
    squares: each === null ? 0 : (Number(each) / 1e9) ** 2 * entries,
    leastNano: each,
    mostNano: each,
    ...change,
    entries,
    millijoules,
    nano,
  };
}

function costOf(millijoules: Millijoules | null): number | null {
  return millijoules === null ? null : Number(((millijoules * NANO_A_MILLIJOULE) / 1e9).toFixed(9));
}
