import { readFile } from 'node:fs/promises';
import { checkedCharges, type NewCharge } from '../cost/charge-known.ts';
import { readCharges } from '../cost/ledger-import.ts';
import { csvLine, LEDGER_COLUMNS, rowCsv, rowJson } from '../cost/ledger-text.ts';
import { calendarOf } from '../cost/local-days.ts';
import { InputError, sentenceOf } from '../errors.ts';
import type { LedgerSpan, Store } from '../ports.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import { bookedIn, futureNote, rowsOf } from './ledger-rows.ts';
import { type PeriodFlags, periodOf, timeIn } from './report-period.ts';
import { writeWhole } from './write-whole.ts';

export interface ExportOptions extends PeriodFlags {
  readonly json?: boolean;
  readonly csv?: boolean;
}

/** Writes all columns of all rows, as CSV or as JSON lines, to a file or to stdout. @returns the exit code */
export async function ledgerExport(app: App, file: string | undefined, options: ExportOptions): Promise<number> {
  const { json = false, csv = false } = options;
  if (json && csv) throw new InputError('is one of two forms; leave --csv out', { code: 'bad_flag', place: '--json' });
  const store = await app.store();
  let rows = 0;
  async function* lines(): AsyncGenerator<string> {
    if (!json) yield csvLine(LEDGER_COLUMNS);
    for await (const row of rowsOf(store, exported(app, options))) {
      rows += 1;
      yield json ? rowJson(row) : rowCsv(row);
    }
  }
  if (file === undefined) for await (const line of lines()) app.io.out(line);
  else {
    await writeWhole(file, lines());
    app.io.err(`${counted(rows, 'row')} written to ${file}.`);
  }
  return EXIT.done;
}

/** Without a span all there is, also what is dated later than now. */
function exported({ loaded, clock, io }: App, { from, to }: PeriodFlags): LedgerSpan {
  if (from === undefined && to === undefined) return { from: 0, to: Number.MAX_SAFE_INTEGER };
  const calendar = calendarOf(loaded.config.tariff.timezone);
  return periodOf({ from: from ?? '1970-01-02', ...(to !== undefined && { to }) }, clock.now(), calendar, (note) =>
    io.err(note),
  );
}

/** Books the charges of a file, all or none; those that were booked before are not again. @returns the exit code */
export async function ledgerImport(app: App, file: string, { json }: { readonly json?: boolean }): Promise<number> {
  const { tariff } = app.loaded.config;
  const calendar = calendarOf(tariff.timezone);
  const { charges, energy } = readCharges(await textOf(file), {
    path: file,
    currency: tariff.currency,
    timeOf: (text, place) => timeIn(text, place, calendar, (note) => app.io.err(note)),
  });
  const store = await app.store();
  const checked = await checkedCharges(charges, bookedIn(store));
  const skipped = await knownLines(store, charges);
  const booked = checked.length === 0 ? 0 : await store.charge(checked);
  const before = charges.length - booked;
  for (const note of futureNote(checked, app.clock.now())) app.io.err(`! ${note}`);
  // A whole file a second time is no surprise.
  if (booked > 0) for (const line of skippedLines(skipped)) app.io.err(line);
  if (json === true) app.io.out(JSON.stringify({ booked, booked_before: before, energy_lines: energy, skipped }));
  else if (charges.length + energy === 0) app.io.out(`${file} has no line with a charge; nothing is booked.`);
  else {
    const parts = [
      `${counted(booked, 'charge')} booked`,
      ...(before > 0 ? [`${before} booked before`] : []),
      ...(energy > 0 ? [`${counted(energy, 'line')} of energy left out`] : []),
    ];
    app.io.out(`${parts.join(', ')}.`);
  }
  return EXIT.done;
}

const SHOWN = 20;

function skippedLines(skipped: readonly SkippedLine[]): readonly string[] {
  const more = skipped.length - SHOWN;
  return [
    ...skipped.slice(0, SHOWN).map(({ line, id }) => `${line}: was booked before as ${id}, and is not again.`),
    ...(more > 0 ? [`So were ${counted(more, 'more line')}; --json names all.`] : []),
  ];
}

interface SkippedLine {
  readonly line: string;
  readonly id: string;
}

/** Lines whose charge is booked already, or stands above them, with the id that it has. */
async function knownLines(
  store: Pick<Store, 'ledgerRow'>,
  charges: readonly NewCharge[],
): Promise<readonly SkippedLine[]> {
  const seen = new Set<string>();
  const known: SkippedLine[] = [];
  for (const { charge, places } of charges) {
    if (seen.has(charge.id) || (await store.ledgerRow(charge.id)) !== undefined)
      known.push({ line: places.id, id: charge.id });
    seen.add(charge.id);
  }
  return known;
}

/** @throws InputError `file_missing`, `bad_encoding` */
async function textOf(file: string): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (error) {
    if (error instanceof TypeError)
      throw new InputError('is not in UTF-8; a spreadsheet saves it so as "CSV UTF-8"', {
        code: 'bad_encoding',
        place: file,
        cause: error,
      });
    throw new InputError(`cannot be read: ${sentenceOf(error)}`, { code: 'file_missing', place: file, cause: error });
  }
}
