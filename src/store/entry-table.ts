import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type EntryGroup, totalsOf } from '../cost/totals.ts';
import type { Entry, Receipt, ReceiptDetails, RunTotals, Settlement } from '../ports.ts';
import { decimalOf, METHODS, nanoOf } from '../units.ts';
import type { Changes } from './changes.ts';
import { integerOf, numberOf, numberOrNull, oneOf, type Row, recordOf, stringsOf, textOf, textOrNull } from './row.ts';
import { tagsText } from './tags.ts';

/** The rows of `entries`: the ledger. Only ever added to. */
export class EntryTable {
  readonly #changes: Changes;
  readonly #remember: StatementSync;
  readonly #known: StatementSync;
  readonly #active: StatementSync;
  readonly #insert: StatementSync;
  readonly #tags: StatementSync;
  readonly #groups: StatementSync;
  readonly #batches: StatementSync;

  constructor(db: DatabaseSync, changes: Changes) {
    this.#changes = changes;
    this.#remember = db.prepare('INSERT INTO settlements VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
    this.#known = db.prepare('SELECT 1 FROM entries WHERE id = ?');
    this.#active = db.prepare("SELECT 1 FROM entries WHERE job_id = ? AND kind = 'active'");
    this.#insert = db.prepare(
      `INSERT INTO entries (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map((name) => `:${name}`).join(', ')})`,
    );
    this.#tags = db.prepare('SELECT tags FROM runs WHERE id = ?');
    this.#groups = db.prepare(
      `SELECT ${PART} AS part, currency, energy_method, cost_method, count(*) AS entries, sum(energy_mj) AS energy_mj,
         CAST(sum(cost_nano) AS TEXT) AS cost_nano, sum(seconds_share) AS seconds
       FROM entries AS booked WHERE run_id = :runId AND seq > :seq GROUP BY part, currency, energy_method, cost_method`,
    );
    this.#batches = db.prepare(
      `SELECT count(DISTINCT batch_id) AS n FROM entries AS booked
       WHERE run_id = :runId AND seq > :seq AND ${PART} = 'active'`,
    );
  }

  /** False where the very same settlement was written before. Without entries there is nothing to book twice. */
  remember(settlement: Settlement): boolean {
    if (settlement.entries.length === 0) return true;
    const digest = createHash('sha256').update(JSON.stringify(settlement)).digest('hex');
    return this.#remember.run(digest, settlement.batchId, settlement.at).changes === 1;
  }

  /** Adds the entry unless it is there; the second picture of a job is booked as `redone`. */
  book(entry: Entry): void {
    if (this.#known.get(entry.id) !== undefined) return;
    const tags = { ...this.#tagsOf(entry.runId), ...entry.tags };
    const redone = entry.kind === 'active' && this.#active.get(entry.jobId) !== undefined;
    const booked: Entry = redone ? { ...entry, tags, kind: 'overhead', cause: 'redone' } : { ...entry, tags };
    this.#insert.run({ ...columnsOf(booked), seq: this.#changes.take(1) + 1 });
  }

  totals(runId: string, seq: number): RunTotals {
    const groups = this.#groups.all({ runId, seq }).map(groupOf);
    return totalsOf(groups, integerOf(this.#batches.get({ runId, seq }) ?? {}, 'n'));
  }

  #tagsOf(runId: string | null): Entry['tags'] {
    const row = this.#tags.get(runId);
    return row === undefined ? {} : recordOf<string>(row, 'tags', 'string');
  }
}

export const METERS = ['nvml_counter', 'power_integral', 'rapl', 'model', 'none'] as const;

function columnsOf(entry: Entry) {
  const { receipt } = entry;
  return {
    id: entry.id,
    at: entry.at,
    kind: entry.kind,
    cause: entry.cause,
    run_id: entry.runId,
    job_id: entry.jobId,
    batch_id: receipt.batch.id,
    batch_size: receipt.batch.size,
    provider: receipt.provider,
    device: receipt.device,
    engine: receipt.engine,
    preset: receipt.preset,
    settings: JSON.stringify(receipt.settings),
    model: receipt.model,
    seconds_share: receipt.seconds.share,
    seconds_batch: receipt.seconds.batch,
    seconds_method: receipt.seconds.method,
    peak_memory_bytes: receipt.peak_memory_bytes.value,
    peak_memory_method: receipt.peak_memory_bytes.method,
    energy_mj: receipt.energy.joules === null ? null : Math.round(receipt.energy.joules * 1000),
    energy_method: receipt.energy.method,
    meter: receipt.energy.meter,
    flags: JSON.stringify(receipt.energy.flags),
    cost_nano: receipt.cost.amount === null ? null : nanoOf(receipt.cost.amount),
    currency: receipt.cost.currency,
    cost_method: receipt.cost.method,
    price: receipt.price,
    tags: tagsText(entry.tags),
    details: JSON.stringify(detailsOf(receipt)),
    gpu: entry.span?.gpu ?? null,
    from_at: entry.span?.from ?? null,
    to_at: entry.span?.to ?? null,
  };
}

const COLUMNS = [
  'seq',
  'id',
  'at',
  'kind',
  'cause',
  'run_id',
  'job_id',
  'batch_id',
  'batch_size',
  'provider',
  'device',
  'engine',
  'preset',
  'settings',
  'model',
  'seconds_share',
  'seconds_batch',
  'seconds_method',
  'peak_memory_bytes',
  'peak_memory_method',
  'energy_mj',
  'energy_method',
  'meter',
  'flags',
  'cost_nano',
  'currency',
  'cost_method',
  'price',
  'tags',
  'details',
  'gpu',
  'from_at',
  'to_at',
] as const satisfies readonly ('seq' | keyof ReturnType<typeof columnsOf>)[];

/**
 * The entry of the picture that job `j`, which is done, has at its path: the last one booked before the job became
 * done. A later one is of a picture that lost the race for it.
 */
export const PICTURE_OF_JOB = `
  (SELECT made.id FROM entries AS made
   WHERE made.job_id = j.id AND made.seq < j.seq AND (made.kind = 'active' OR made.cause = 'redone')
   ORDER BY made.seq DESC LIMIT 1)`;

/** What an entry counts as in the sums after `:seq`; see `Store.totals`. */
const PART = `
  CASE WHEN booked.cause IS 'redone'
    AND booked.id = (SELECT ${PICTURE_OF_JOB} FROM jobs AS j WHERE j.id = booked.job_id AND j.state = 'done')
    AND NOT EXISTS (SELECT 1 FROM entries AS first
                    WHERE first.job_id = booked.job_id AND first.kind = 'active' AND first.seq > :seq)
  THEN 'active' ELSE booked.kind END`;

/** What {@link receiptOf} reads from a row of `entries AS e`. Money leaves as text, because it may exceed 2^53. */
export const RECEIPT_COLUMNS = `
  e.batch_id, e.batch_size, e.provider, e.device, e.engine, e.preset, e.settings, e.model, e.seconds_share, e.seconds_batch,
  e.seconds_method, e.peak_memory_bytes, e.peak_memory_method, e.energy_mj, e.energy_method, e.meter, e.flags,
  CAST(e.cost_nano AS TEXT) AS cost_nano, e.currency, e.cost_method, e.price, e.details`;

export function receiptOf(row: Row): Receipt {
  const { energy, ...details } = writtenIn<Details>(row, 'details');
  const millijoules = numberOrNull(row, 'energy_mj');
  const nano = textOrNull(row, 'cost_nano');
  return {
    v: 1,
    provider: textOf(row, 'provider'),
    device: textOf(row, 'device'),
    engine: textOf(row, 'engine'),
    preset: textOf(row, 'preset'),
    settings: writtenIn<Receipt['settings']>(row, 'settings'),
    model: textOf(row, 'model'),
    batch: { id: textOf(row, 'batch_id'), size: integerOf(row, 'batch_size') },
    seconds: {
      share: numberOf(row, 'seconds_share'),
      batch: numberOf(row, 'seconds_batch'),
      method: oneOf(row, 'seconds_method', METHODS),
    },
    peak_memory_bytes: {
      value: numberOrNull(row, 'peak_memory_bytes'),
      method: oneOf(row, 'peak_memory_method', METHODS),
    },
    energy: {
      joules: millijoules === null ? null : millijoules / 1000,
      method: oneOf(row, 'energy_method', METHODS),
      meter: oneOf(row, 'meter', METERS),
      flags: stringsOf(row, 'flags'),
      ...energy,
    },
    cost: {
      amount: nano === null ? null : decimalOf(BigInt(nano)),
      currency: textOf(row, 'currency'),
      method: oneOf(row, 'cost_method', METHODS),
    },
    price: textOf(row, 'price'),
    ...details,
  };
}

/** What is optional in a receipt. */
type Details = ReceiptDetails & { readonly energy?: Pick<Receipt['energy'], 'bound_joules' | 'integral_ratio'> };

function detailsOf({ downgrades, steps, work, peaks, energy }: Receipt): object {
  const { bound_joules, integral_ratio } = energy;
  const told = bound_joules !== undefined || integral_ratio !== undefined;
  return { downgrades, steps, work, peaks, ...(told && { energy: { bound_joules, integral_ratio } }) };
}

/** The text is what this table itself wrote from a receipt, so it is not checked again. */
function writtenIn<Part>(row: Row, column: string): Part {
  return JSON.parse(textOf(row, column)) as Part;
}

function groupOf(row: Row): EntryGroup {
  const nano = textOrNull(row, 'cost_nano');
  return {
    part: oneOf(row, 'part', ['active', 'overhead']),
    currency: textOf(row, 'currency'),
    energyMethod: oneOf(row, 'energy_method', METHODS),
    costMethod: oneOf(row, 'cost_method', METHODS),
    entries: integerOf(row, 'entries'),
    millijoules: numberOrNull(row, 'energy_mj'),
    nano: nano === null ? null : BigInt(nano),
    seconds: numberOf(row, 'seconds'),
  };
}
