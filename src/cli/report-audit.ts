import { type AuditResult, audit } from '../cost/audit.ts';
import { momentText } from '../cost/clock-text.ts';
import type { Calendar } from '../cost/local-days.ts';
import type { LedgerRow, LedgerSpan, Store } from '../ports.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { marksOf, rowsOf } from './ledger-rows.ts';
import { columns } from './table.ts';

export interface AuditPeriod {
  readonly span: LedgerSpan;
  readonly calendar: Calendar;
}

/**
 * Whether what was booked of each card is what its counter says, by marks and rows alone.
 * @returns the exit code: 1 where it is not
 */
export async function reportAudit(app: App, { span, calendar }: AuditPeriod, json: boolean): Promise<number> {
  const store = await app.store();
  const cards = (await store.chains()).map(({ gpu }) => gpu);
  const results: AuditResult[] = [];
  const { clock } = calendar;
  for (const gpu of cards)
    results.push(
      await audit({ gpu, marks: marksOf(store, gpu, span), rows: rowsOfCard(store, gpu, span), span, clock }),
    );
  const faults = results.flatMap((result) => result.faults);
  if (json)
    app.io.out(JSON.stringify({ ok: faults.length === 0, cards: results.map((result) => outOf(result, calendar)) }));
  else for (const line of results.flatMap(linesOf)) app.io.out(line);
  if (cards.length === 0 && !json)
    app.io.out(
      'There is nothing to audit: no card was ever metered here. What a processor burns has no counter to check it by.',
    );
  return faults.length === 0 ? EXIT.done : EXIT.internal;
}

/** With those of no card: pictures that were adopted name their batch alone. */
async function* rowsOfCard(store: Pick<Store, 'ledger'>, gpu: string, span: LedgerSpan): AsyncGenerator<LedgerRow> {
  for await (const row of rowsOf(store, span)) if (row.gpu === gpu || row.gpu === null) yield row;
}

const PARTS = ['active', 'overhead', 'idle', 'foreign', 'unknown'] as const;

function linesOf({ gpu, hours, faults, totals }: AuditResult): readonly string[] {
  const booked = PARTS.reduce((sum, part) => sum + totals[part], 0);
  const rows = [...PARTS, 'counter' as const].map((part) => [`  ${part}`, joules(totals[part]).padStart(20)]);
  const difference = joules(booked - totals.counter).padStart(20);
  const verdict =
    faults.length === 0
      ? `adds up: ${PARTS.join(' + ')} = counter`
      : `does not add up, in ${counted(new Set(faults.map(({ hour }) => hour)).size, 'hour')}`;
  return [
    `${gpu}, ${counted(Math.round(hours), 'hour')}: ${verdict}`,
    ...columns([...rows, ['  booked - counter', difference]]),
    ...(totals.unread > 0 ? [`  ${counted(totals.unread, 'row')} of unknown energy in no sum`] : []),
    ...faults.map(({ sentence }) => `  ${sentence}`),
  ];
}

/** To the millijoule, because that is what is compared. */
function joules(millijoules: number): string {
  return `${(millijoules / 1000).toLocaleString('en-US', { minimumFractionDigits: 3, maximumFractionDigits: 3 })} J`;
}

function outOf({ gpu, hours, faults, totals }: AuditResult, calendar: Calendar) {
  return {
    gpu,
    hours,
    totals_mj: totals,
    faults: faults.map((fault) => ({ ...fault, hour: momentText(calendar.clock, fault.hour) })),
  };
}
