import type { Reading } from '../ports.ts';
import type { App, Interrupts } from './app.ts';
import { EXIT } from './exit.ts';
import { widthOf } from './presets.ts';
import { wrappedColumns } from './table.ts';
import { derivedWallRows, rowsOfFigures } from './telemetry-figures.ts';
import { cardsOf, listen, noMeterHere } from './telemetry-listen.ts';
import { MeterView } from './telemetry-view.ts';
import { parseSpan } from './until.ts';

export interface WatchOptions {
  /** `30s`; not given: until Ctrl-C. */
  readonly for?: string;
  readonly json?: boolean;
  readonly interrupts: Pick<Interrupts, 'take' | 'count'>;
}

/**
 * What the meters say, as they say it, and at the end what each has come to. A host without meters is no error: it is
 * said, and what is assumed there.
 * @returns the exit code
 * @throws UnavailableError `nvidia_smi_failed` where that is all there is, and it never answered
 */
export async function telemetryWatch(app: App, options: WatchOptions): Promise<number> {
  const { io, clock } = app;
  const lasts = options.for === undefined ? null : parseSpan(options.for);
  const cards = await cardsOf(app);
  const view = new MeterView(cards.gpus, cards.names);
  const json = options.json === true;
  let readings = 0;
  const listened = await listen(app, cards, {
    lasts,
    interrupts: options.interrupts,
    onReading: (reading) => {
      readings += reading.kind === 'lost' ? 0 : 1;
      view.add(reading);
      if (json) io.out(JSON.stringify(eventOf(reading)));
      else if (reading.kind === 'lost' && !io.isTTY) io.err(`telemetry lost: ${reading.reason}`);
    },
    onSecond: () => {
      if (json || readings === 0) return;
      if (io.isTTY) io.live(view.table(clock.now(), io.columns - 1).join('\n'));
      else io.out(view.line(clock.now()));
    },
  });
  io.live('');
  if (listened === 'silent') io.err(noMeterHere(app));
  if (readings === 0 && cards.error !== null) throw cards.error;
  if (readings === 0 && listened === 'over') io.err('No meter told anything in this time; watch for longer.');
  const { figures } = view;
  const rows = [...rowsOfFigures(figures), ...derivedWallRows(figures, app.loaded.config.energy)];
  if (json) io.out(JSON.stringify({ event: 'summary', ...figures }));
  else for (const line of wrappedColumns(rows, widthOf(app))) io.out(line);
  return EXIT.done;
}

/** As it leaves through a door. */
function eventOf(reading: Reading): Readonly<Record<string, unknown>> {
  const { kind: event, ...rest } = reading;
  const named = Object.entries(rest).map(([name, value]) => [
    name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    value,
  ]);
  return { event, ...Object.fromEntries(named) };
}
