import { decimalText } from '../cost/decimal.ts';
import { rowJson } from '../cost/ledger-text.ts';
import { type Calendar, calendarOf } from '../cost/local-days.ts';
import type { LedgerRow, Store } from '../ports.ts';
import { type EpochMillis, nanoOf } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { significant } from './figures.ts';
import { rowsOf } from './ledger-rows.ts';
import { columns } from './table.ts';

export interface LedgerLsOptions {
  readonly json?: boolean;
  readonly limit?: number;
  /** Only what was booked by hand or import. */
  readonly charges?: boolean;
}

const SHOWN = 20;
const CHARGES = ['charge', 'credit', 'correction'];

/** The last rows, the youngest at the end. @returns the exit code */
export async function ledgerLs(app: App, { json, limit = SHOWN, charges = false }: LedgerLsOptions): Promise<number> {
  const { config } = app.loaded;
  const wanted = (row: LedgerRow) => !charges || CHARGES.includes(row.kind);
  const rows = await lastRows(await app.store(), { limit, wanted, now: app.clock.now() });
  const calendar = calendarOf(config.tariff.timezone);
  if (json === true) for (const row of rows) app.io.out(rowJson(row));
  else for (const line of columns(rows.map((row) => cellsOf(row, calendar)))) app.io.out(line);
  if (rows.length === 0) app.io.err(`There is nothing of that in the ledger of ${config.dataDir}.`);
  return EXIT.done;
}

interface Wanted {
  readonly limit: number;
  readonly now: EpochMillis;
  wanted(row: LedgerRow): boolean;
}

const HOUR_MS = 3_600_000;

/** By the end of their time. Looks back further and further, because rows are read from the first on. */
async function lastRows(store: Store, { limit, now, wanted }: Wanted): Promise<readonly LedgerRow[]> {
  const ever = { from: 0, to: Number.MAX_SAFE_INTEGER };
  const spans = [1, 24, 24 * 7, 24 * 30, 24 * 365].map((hours) => ({
    ...ever,
    from: Math.max(0, now - hours * HOUR_MS),
  }));
  for (const span of [...spans, ever]) {
    let kept: LedgerRow[] = [];
    for await (const row of rowsOf(store, span)) {
      if (!wanted(row)) continue;
      kept.push(row);
      if (kept.length >= 2 * limit) kept = youngest(kept, limit);
    }
    if (kept.length >= limit || span.from === 0) return youngest(kept, limit);
  }
  return [];
}

function youngest(rows: readonly LedgerRow[], limit: number): LedgerRow[] {
  return rows.toSorted((a, b) => a.at - b.at || a.seq - b.seq).slice(-limit);
}

function cellsOf(row: LedgerRow, calendar: Calendar): readonly string[] {
  const { at, kind, cause, service, resource_type: type, energy_mj: energy, total_cost: cost, currency, id } = row;
  const isCharge = CHARGES.includes(kind);
  return [
    calendar.minuteOf(at),
    cause === null ? kind : `${kind} ${cause}`,
    service,
    isCharge ? type : energy === null ? '?' : `${significant(energy / 3.6e9)} kWh`,
    cost === null ? '?' : `${isCharge ? decimalText(nanoOf(cost)) : significant(cost)} ${currency}`,
    id,
  ];
}
