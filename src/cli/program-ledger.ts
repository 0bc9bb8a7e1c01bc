import { type Command, Option } from 'commander';
import type { App } from './app.ts';
import type { ExportOptions } from './ledger-files.ts';
import type { LedgerLsOptions } from './ledger-ls.ts';
import type { LogCostOptions, LogCostWords } from './log-cost.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';
import { countOf, tagOf } from './program-run.ts';
import type { ReportOptions } from './report.ts';

type WithApp = (flags: PlaceFlags, use: (app: App) => Promise<number>) => Promise<void>;

const FROM = ['--from <date>', 'as 2026-11-01, or 2026-11-01T14:00, by the clock of the tariff'] as const;
const TO = ['--to <date>', 'a day, which is included, or a time'] as const;

/** What an accountant asks for, and tells. Each is loaded when it is asked for: a night of pictures needs none of them. */
export function addLedger(program: Command, withApp: WithApp): void {
  addReport(program, withApp);
  addLogCost(program, withApp);
  const ledger = program.command('ledger').summary('list, export and import what was booked');
  const ls = ledger
    .command('ls')
    .summary('the last rows')
    .option('--limit <count>', 'at most so many', countOf('--limit'))
    .option('--charges', 'only what was booked by log-cost or import');
  addPlaces(ls).action((flags: PlaceFlags & LedgerLsOptions) =>
    withApp(flags, async (app) => (await import('./ledger-ls.ts')).ledgerLs(app, flags)),
  );
  const exporting = ledger
    .command('export')
    .summary('all columns of all rows, as CSV or, with --json, as JSON lines')
    .argument('[FILE]', 'else to stdout')
    .option(...FROM)
    .option(...TO)
    .option('--csv', 'the default');
  addPlaces(exporting).action((file: string | undefined, flags: PlaceFlags & ExportOptions) =>
    withApp(flags, async (app) => (await import('./ledger-files.ts')).ledgerExport(app, file, flags)),
  );
  const importing = ledger
    .command('import')
    .summary('book the charges of a file; what was booked before is not booked again')
    .description(
      'Books the charges of FILE, all or none. It is CSV with a header, or JSON lines, with the columns of an export or these:\n' +
        'at, service, resource_type, quantity, unit_cost, and if need be currency, kind, tags, note, corrects, id.',
    )
    .argument('<FILE>');
  addPlaces(importing).action((file: string, flags: PlaceFlags) =>
    withApp(flags, async (app) => (await import('./ledger-files.ts')).ledgerImport(app, file, flags)),
  );
}

function addReport(program: Command, withApp: WithApp): void {
  const command = program
    .command('report')
    .summary('pictures, energy and money of the last 30 days, or of any time')
    .option('--month <month>', 'as 2026-11')
    .option(...FROM)
    .option(...TO)
    .option('--by <what>', 'service, provider, model, preset, run, day, hour, tag or tag:NAME')
    .addOption(tagOption('only what is tagged so; may be given often'))
    .option('--csv [file]', 'a line a group, to a file or to stdout')
    .option('--html <file>', 'one page, with nothing from elsewhere')
    .option('--audit', 'check that all rows of each card add up to its counter; exit code 1 and the hours where not');
  addPlaces(command).action((flags: PlaceFlags & ReportOptions) =>
    withApp(flags, async (app) => (await import('./report.ts')).report(app, flags)),
  );
}

function addLogCost(program: Command, withApp: WithApp): void {
  const command = program
    .command('log-cost')
    .summary('book a subscription, a bill, or money that came back')
    .argument('<SERVICE>', 'who is paid: midjourney')
    .argument('<TYPE>', 'for what: subscription, gpu_hour, image')
    .argument('<QUANTITY>', 'at most nine decimals')
    .argument('<UNIT_COST>', 'of one; at most nine decimals')
    .option('--currency <code>', 'as USD; not given: that of the tariff')
    .option('--at <date>', 'when; not given: now')
    .addOption(tagOption('written beside it; may be given often'))
    .option('--note <text>', 'kept as the tag "note"')
    .option('--credit', 'money that came back')
    .option('--correct <id>', 'the id of a charge; what is booked is added to it, and may be negative')
    .option('--id <id>', 'so that a second call with it books nothing');
  addPlaces(command).action(
    (...[service, type, quantity, unitCost, flags]: [...LogCostWords, PlaceFlags & LogCostOptions]) =>
      withApp(flags, async (app) =>
        (await import('./log-cost.ts')).logCost(app, [service, type, quantity, unitCost], flags),
      ),
  );
}

function tagOption(text: string): Option {
  return new Option('--tag <key=value>', text).argParser(tagOf);
}
