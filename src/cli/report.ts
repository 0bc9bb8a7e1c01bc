import { someOf } from '../cost/comparison.ts';
import { calendarOf } from '../cost/local-days.ts';
import { type Report, reportOf } from '../cost/report.ts';
import { type Grouping, groupingOf, sumKeysOf } from '../cost/report-groups.ts';
import { InputError } from '../errors.ts';
import type { LedgerSum, Store } from '../ports.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { reportAudit } from './report-audit.ts';
import { reportCsv } from './report-csv.ts';
import { reportHtml } from './report-html.ts';
import { reportJson } from './report-json.ts';
import { notesOf } from './report-notes.ts';
import { type PeriodFlags, periodOf } from './report-period.ts';
import { reportSettings } from './report-settings.ts';
import { emptyLine, terminalLines } from './report-terminal.ts';
import { writeWhole } from './write-whole.ts';

export interface ReportOptions extends PeriodFlags {
  readonly by?: string;
  readonly tag?: Readonly<Record<string, string>>;
  readonly json?: boolean;
  /** A file; true: stdout. */
  readonly csv?: string | true;
  readonly html?: string;
  readonly audit?: boolean;
}

const USUAL = 80;
const NARROWEST = 60;

/** @returns the exit code */
export async function report(app: App, options: ReportOptions): Promise<number> {
  const { loaded, io, clock } = app;
  if (options.json === true && options.csv === true)
    throw new InputError('is one of two forms of stdout; give --csv a file, or leave one out', {
      code: 'bad_flag',
      place: '--json',
    });
  const by = options.by === undefined ? null : groupingOf(options.by);
  const calendar = calendarOf(loaded.config.tariff.timezone);
  const period = { span: periodOf(options, clock.now(), calendar, (note) => io.err(note)), calendar };
  if (options.audit === true) {
    refuseBeside(options);
    return reportAudit(app, period, options.json === true);
  }
  const made = await madeOf(app, { ...period, by, tags: options.tag ?? {} });
  if (typeof options.csv === 'string') await writeWhole(options.csv, reportCsv(made));
  if (options.html !== undefined)
    await writeWhole(options.html, [reportHtml(made, notesOf(made, loaded), app.software)]);
  for (const file of [options.csv, options.html]) if (typeof file === 'string') io.err(`Written to ${file}.`);
  if (options.json === true) io.out(JSON.stringify(reportJson(made)));
  else if (options.csv === true) for (const line of reportCsv(made)) io.out(line);
  else if (made.entries === 0) io.out(emptyLine(made));
  else if (options.csv === undefined && options.html === undefined) {
    const width = io.isTTY ? Math.max(NARROWEST, io.columns) : USUAL;
    for (const line of linesOf(made, app, width)) io.out(line);
  }
  return EXIT.done;
}

/** With some of the prices elsewhere; the page and JSON have all. */
function linesOf(made: Report, { loaded, io }: App, width: number): readonly string[] {
  const brief = { ...made, comparison: someOf(made.comparison) };
  const notes = notesOf(brief, loaded, made.comparison.length - brief.comparison.length);
  return terminalLines(brief, { width, color: io.color, utf8: loaded.config.utf8, notes });
}

type Asked = Pick<Parameters<typeof reportOf>[0], 'span' | 'calendar' | 'by' | 'tags'>;

async function madeOf(app: App, asked: Asked): Promise<Report> {
  const store = await app.store();
  const tagged = Object.keys(asked.tags).length > 0;
  const keys = sumKeysOf(asked.by, tagged);
  const sums = await store.sums(asked.span, keys);
  const slots = keys.includes('slot') ? sums : await store.sums(asked.span, tagged ? ['slot', 'tags'] : ['slot']);
  const labels = await labelsOf(store, asked.by, sums);
  return reportOf({ ...asked, sums, slots, labels, settings: reportSettings(app.loaded.config) });
}

/** Runs go by their names; one that this store does not know keeps its id. */
async function labelsOf(store: Store, by: Grouping | null, sums: readonly LedgerSum[]) {
  const labels = new Map<string, string>();
  if (by?.kind !== 'run') return labels;
  const ids = [...new Set(sums.flatMap(({ run }) => (run === null ? [] : [run])))];
  for (const row of await Promise.all(ids.map((id) => store.run(id))))
    if (row !== undefined) labels.set(row.id, row.name);
  return labels;
}

function refuseBeside({ by, tag, csv, html }: ReportOptions): void {
  const given = { '--by': by, '--tag': tag && Object.keys(tag)[0], '--csv': csv, '--html': html };
  const place = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (place === undefined) return;
  throw new InputError('says nothing to --audit, which is of all that was booked; leave it out', {
    code: 'bad_flag',
    place,
  });
}
