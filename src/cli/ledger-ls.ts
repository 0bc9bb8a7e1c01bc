import { decimalText } from '../cost/decimal.ts';
import { rowJson } from '../cost/ledger-text.ts';
import { type Calendar, calendarOf } from '../cost/local-days.ts';
import type { LedgerRow } from '../ports.ts';
import { kwhOf, nanoOf } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { significant } from './figures.ts';
import { columns } from './table.ts';

export interface LedgerLsOptions {
  readonly json?: boolean;
  readonly limit?: number;
  /** Only what was booked by hand or import. */
  readonly charges?: boolean;
}

const SHOWN = 20;
const CHARGES = ['charge', 'credit', 'correction'];

/** What was booked last, at the end what was booked just now. @returns the exit code */
export async function ledgerLs(app: App, { json, limit = SHOWN, charges = false }: LedgerLsOptions): Promise<number> {
  const { config } = app.loaded;
  const rows = await (await app.store()).lastRows(limit, charges ? 'charges' : 'all');
  const calendar = calendarOf(config.tariff.timezone);
  if (json === true) for (const row of rows) app.io.out(rowJson(row));
  else for (const line of columns(rows.map((row) => cellsOf(row, calendar)))) app.io.out(line);
  if (rows.length === 0) app.io.err(`There is nothing of that in the ledger of ${config.dataDir}.`);
  return EXIT.done;
}

function cellsOf(row: LedgerRow, calendar: Calendar): readonly string[] {
  const { at, kind, cause, service, resource_type: type, energy_mj: energy, total_cost: cost, currency, id } = row;
  const isCharge = CHARGES.includes(kind);
  return [
    calendar.minuteOf(at),
    cause === null ? kind : `${kind} ${cause}`,
    service,
    isCharge ? type : energy === null ? '?' : `${significant(kwhOf(energy))} kWh`,
    cost === null ? '?' : `${isCharge ? decimalText(nanoOf(cost)) : significant(cost)} ${currency}`,
    id,
  ];
}
