import { QUARTER_MS } from '../src/cost/local-days.ts';
import type { Entry, MeterBooking, NewMark, Settlement, Stretch } from '../src/ports.ts';
import { Changes } from '../src/store/changes.ts';
import { inTransaction, openDatabase } from '../src/store/database.ts';
import { EntryTable } from '../src/store/entry-table.ts';
import { MarkTable } from '../src/store/mark-table.ts';
import { StretchTable } from '../src/store/stretch-table.ts';
import { activeEntry, DETAILS, receiptOf } from '../test/store/samples.ts';

/** A month that is over, UTC: a report ends now at the latest. */
export const NAMED = '2025-11';
export const MONTH = { from: Date.UTC(2025, 10, 1), to: Date.UTC(2025, 11, 1) };
/** Pictures in a batch, as a card that pays for batching makes them. */
export const BATCH = 4;
const BATCHES_A_TRANSACTION = 2_500;
const ENTRIES_A_RUN = 1_000;

/** Of how many batches the month is made, evenly. Their numbers begin with 0. */
export interface Month {
  readonly batches: number;
}

/** Of all pictures of a month, failed ones too. */
export interface MonthSums {
  readonly entries: number;
  readonly millijoules: number;
  readonly nano: bigint;
}

/** What has to come out, added up without a ledger. */
export function sumsOfMonth({ batches }: Month): MonthSums {
  const entries = batches * BATCH;
  let [millijoules, nano] = [0, 0n];
  for (let count = 0; count < entries; count += 1) {
    millijoules += millijoulesOf(count);
    nano += BigInt(nanoCostOf(millijoulesOf(count)));
  }
  return { entries, millijoules, nano };
}

function millijoulesOf(count: number): number {
  return 1_500_000 + (count % 997) * 100;
}

/** At 0.30 a kilowatt-hour. */
function nanoCostOf(millijoules: number): number {
  return Math.round((millijoules / 3.6e9) * 0.3 * 1e9);
}

/** Writes the batches before `end` as the store does, but in large transactions. */
export function fillMonth(path: string, month: Month, end: number): void {
  const db = openDatabase(path);
  const changes = new Changes(db);
  const [entries, stretches, marks] = [new EntryTable(db, changes), new StretchTable(db, changes), new MarkTable(db)];
  for (let begin = 0; begin < end; begin += BATCHES_A_TRANSACTION) {
    inTransaction(db, () => {
      for (let number = begin; number < Math.min(end, begin + BATCHES_A_TRANSACTION); number += 1) {
        const { entries: made, meter } = settlementIn(month, number);
        for (const entry of made) entries.book(entry);
        for (const mark of meter?.marks ?? []) marks.add(mark);
        for (const stretch of meter?.stretches ?? []) stretches.book(stretch);
      }
    });
  }
  db.close();
}

/**
 * What a batch leaves behind: its pictures, one in fifty of them failed, on one of two cards, for one of five clients and
 * by one of three models.
 * @param jobs ids of the jobs that it makes, where the store knows them
 */
export function settlementIn(month: Month, number: number, jobs: readonly string[] = []): Settlement {
  const batch = `launch-1-${number}`;
  const length = (MONTH.to - MONTH.from) / month.batches;
  const from = Math.floor(MONTH.from + number * length);
  const to = Math.floor(from + length * 0.8);
  const span = { gpu: CARDS[number % 2] ?? '', from, to };
  const entries = Array.from({ length: BATCH }, (_, place) => entryIn(number, place, batch, span, jobs[place]));
  const done = jobs.map((id) => ({ id, state: 'done' as const, path: `/out/${id}.png` }));
  return { batchId: batch, at: to, entries, jobs: done, meter: meterOf(number, batch, span, Math.ceil(length)) };
}

const CARDS = ['GPU-5c1f0e2b-0000-4000-8000-000000000001', 'GPU-5c1f0e2b-0000-4000-8000-000000000002'];
const MODELS = ['stable-diffusion-xl', 'stable-diffusion-1.5', 'flux-dev'];

function entryIn(
  number: number,
  place: number,
  batchId: string,
  span: NonNullable<Entry['span']>,
  known: string | undefined,
): Entry {
  const count = number * BATCH + place;
  const run = Math.floor(count / ENTRIES_A_RUN);
  const runId = known?.slice(0, known.lastIndexOf('-')) ?? `0190b8a0-0000-7000-8000-${String(run).padStart(12, '0')}`;
  const jobId = known ?? `${runId}-${String(count % ENTRIES_A_RUN).padStart(6, '0')}`;
  const millijoules = millijoulesOf(count);
  const receipt = receiptOf(batchId, {
    ...DETAILS,
    model: MODELS[run % MODELS.length] ?? '',
    energy: { joules: millijoules / 1000, method: 'measured', meter: 'nvml_counter', flags: [], bound_joules: 15 },
    cost: { amount: nanoCostOf(millijoules) / 1e9, currency: 'EUR', method: 'measured' },
  });
  const failed = count % 50 === 49 && known === undefined;
  return activeEntry(runId, jobId, batchId, {
    at: span.to,
    receipt,
    span,
    tags: { client: `client-${run % 5}` },
    ...(failed && { kind: 'overhead', cause: 'failed' }),
  });
}

/** Marks at both ends, and what the card did up to the next batch, cut where a quarter of an hour ends. */
function meterOf(number: number, batchId: string, { gpu, from, to }: Gpu, length: number): MeterBooking {
  const mark = { gpu: gpu ?? '', launch: 'launch-1', counter: number * 6_000_000, integral: null, foreign: 0, batchId };
  const marks: readonly NewMark[] = [
    { ...mark, at: from, after: 'batch' },
    { ...mark, at: to, after: 'resident', counter: (number + 1) * 6_000_000 - 9_000, batchId: null },
  ];
  const quarter = Math.ceil((to + 1) / QUARTER_MS) * QUARTER_MS;
  const end = from + length;
  const cuts = quarter < end ? [to, quarter, end] : [to, end];
  return { marks, stretches: cuts.slice(1).map((cut, at) => idle(gpu ?? '', cuts[at] ?? to, cut)) };
}

type Gpu = NonNullable<Entry['span']>;

function idle(gpu: string, from: number, to: number): Stretch {
  const millijoules = (to - from) * 25;
  return {
    id: `${gpu}/${from}/idle`,
    gpu,
    from,
    to,
    kind: 'idle',
    cause: 'resident',
    batchId: null,
    millijoules,
    bound: 1_000,
    method: 'measured',
    meter: 'nvml_counter',
    flags: [],
    cost: { amount: nanoCostOf(millijoules) / 1e9, currency: 'EUR', method: 'measured' },
    price: 'flat:0.3:EUR:config',
    corrects: null,
  };
}
