import { homedir } from 'node:os';
import { absolutePath } from '../config-path.ts';
import type { App, Interrupts } from './app.ts';
import { type AskOptions, askOf } from './ask.ts';
import { requireSheetPath } from './contact-sheet.ts';
import { assumptionsOf, pricesOf } from './prices.ts';
import type { RunSummary } from './run-events.ts';
import { humanReporter } from './run-human.ts';
import { jsonReporter } from './run-json.ts';
import { runSession } from './run-session.ts';

/** `kilnwatt run`, as its flags say it. */
export interface RunOptions extends AskOptions {
  readonly contactSheet?: string;
  readonly json?: boolean;
  readonly dryRun?: boolean;
  /** A shell command that is told when nothing of the run is left to make, and of nothing else. */
  readonly onDone?: string;
  readonly interrupts: Interrupts;
}

/** @returns the exit code */
export async function run(app: App, [word = '']: readonly string[], options: RunOptions): Promise<number> {
  const contactSheet =
    options.contactSheet === undefined ? null : absolutePath(options.contactSheet, process.cwd(), homedir());
  if (contactSheet !== null) await requireSheetPath(contactSheet);
  const ask = await askOf(app, word, options);
  const { clock, io } = app;
  const assumptions = (bill: RunSummary) => assumptionsOf(app.loaded, bill);
  const reporter =
    options.json === true
      ? jsonReporter(io, assumptions)
      : humanReporter({ io, clock, cwd: process.cwd(), assumptions });
  const { interrupts, dryRun = false, onDone = null } = options;
  const prices = pricesOf(app.loaded.config);
  try {
    return await runSession({ app, ask, prices, reporter, dryRun, contactSheet, onDone, interrupts });
  } finally {
    reporter.close();
  }
}
