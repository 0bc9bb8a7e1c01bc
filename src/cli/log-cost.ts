import { v7 as uuidv7 } from 'uuid';
import { chargeOf } from '../cost/charge.ts';
import { checkedCharges, doubtOf } from '../cost/charge-known.ts';
import { decimalText } from '../cost/decimal.ts';
import { calendarOf } from '../cost/local-days.ts';
import { InputError } from '../errors.ts';
import type { Charge } from '../ports.ts';
import { nanoOf } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { bookedIn, futureNote } from './ledger-rows.ts';
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
 * same `--id` it is one, and another charge with that id is refused.
 * @returns the exit code
 */
export async function logCost(app: App, words: LogCostWords, options: LogCostOptions): Promise<number> {
  const [service, resourceType, quantity, unitCost] = words;
  const { tariff } = app.loaded.config;
  const { credit, correct, at, id, currency } = options;
  if (credit === true && correct !== undefined)
    throw new InputError('is a correction; leave --credit out', { code: 'bad_flag', place: '--correct' });
  const charge = chargeOf(
    {
      id: id ?? uuidv7(),
      at:
        at === undefined
          ? app.clock.now()
          : timeIn(at, '--at', calendarOf(tariff.timezone), (note) => app.io.err(note)),
      kind: correct === undefined ? (credit === true ? 'credit' : 'charge') : 'correction',
      service,
      resourceType,
      quantity,
      unitCost,
      currency: currency ?? tariff.currency,
      tags: options.tag ?? {},
      note: options.note,
      corrects: correct ?? null,
    },
    'log-cost',
  );
  const store = await app.store();
  const said = {
    charge,
    currencySaid: currency !== undefined,
    idSaid: id !== undefined,
    timeWithin: doubtOf(at),
    places: { corrects: '--correct', id: '--id' },
  };
  const [checked = charge] = await checkedCharges([said], bookedIn(store));
  const booked = (await store.charge([checked])) === 1;
  for (const note of futureNote([checked], app.clock.now())) app.io.err(`! ${note}`);
  tell(app, checked, booked, options.json === true);
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
