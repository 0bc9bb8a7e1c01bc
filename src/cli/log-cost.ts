import { v7 as uuidv7 } from 'uuid';
import { chargeOf } from '../cost/charge.ts';
import { decimalText } from '../cost/decimal.ts';
import { calendarOf } from '../cost/local-days.ts';
import { InputError } from '../errors.ts';
import type { Charge } from '../ports.ts';
import { nanoOf } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { timeIn } from './report-period.ts';

export interface LogCostOptions {
  readonly currency?: string;
  readonly at?: string;
  readonly tag?: Readonly<Record<string, string>>;
  readonly note?: string;
  readonly credit?: boolean;
  readonly correct?: string;
  readonly id?: string;
  readonly json?: boolean;
}

/** Service, type, quantity and unit cost, as they were typed. */
export type LogCostWords = readonly [service: string, type: string, quantity: string, unitCost: string];

/**
 * Books what left the account for something else than electricity. The same command twice is two purchases; with the
 * same `--id` it is one.
 * @returns the exit code
 */
export async function logCost(app: App, words: LogCostWords, options: LogCostOptions): Promise<number> {
  const [service, resourceType, quantity, unitCost] = words;
  const { tariff } = app.loaded.config;
  const { credit, correct, at, id = uuidv7() } = options;
  if (credit === true && correct !== undefined)
    throw new InputError('is a correction; leave --credit out', { code: 'bad_flag', place: '--correct' });
  const charge = chargeOf(
    {
      id,
      at:
        at === undefined
          ? app.clock.now()
          : timeIn(at, '--at', calendarOf(tariff.timezone), (note) => app.io.err(note)),
      kind: correct === undefined ? (credit === true ? 'credit' : 'charge') : 'correction',
      service,
      resourceType,
      quantity,
      unitCost,
      currency: options.currency ?? tariff.currency,
      tags: options.tag ?? {},
      note: options.note,
      corrects: correct ?? null,
    },
    'log-cost',
  );
  if (correct !== undefined) await requireCharge(app, correct);
  const booked = (await (await app.store()).charge([charge])) === 1;
  tell(app, charge, booked, options.json === true);
  return EXIT.done;
}

function tell({ io }: App, charge: Charge, booked: boolean, json: boolean): void {
  const { id, at, kind, service, resourceType, quantity, unitCost, amount, currency } = charge;
  if (json) {
    io.out(JSON.stringify({ ...charge, at: new Date(at).toISOString(), booked }));
    return;
  }
  const number = (value: number) => decimalText(nanoOf(value));
  const sum = `${number(quantity)} x ${number(unitCost)} = ${number(amount)} ${currency}`;
  io.out(
    `${booked ? 'Booked' : 'Was booked before, and is not again'}: ${kind} ${service} ${resourceType}, ${sum} (${id})`,
  );
}

/** Rows of energy are corrected by what burnt it, never by hand. */
async function requireCharge(app: App, id: string): Promise<void> {
  const row = await (await app.store()).ledgerRow(id);
  if (row === undefined)
    throw new InputError(`there is no such row; \`kilnwatt ledger ls --charges\` lists them: ${id}`, {
      code: 'row_missing',
      place: '--correct',
    });
  if (!['charge', 'credit', 'correction'].includes(row.kind))
    throw new InputError(`${id} is of energy; only charges are corrected by hand`, {
      code: 'bad_flag',
      place: '--correct',
    });
}
