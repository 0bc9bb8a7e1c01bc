import { unlink } from 'node:fs/promises';
import { UnavailableError } from '../errors.ts';
import { createRecording } from '../telemetry/recording.ts';
import type { App, Interrupts } from './app.ts';
import { EXIT } from './exit.ts';
import { counted, seconds } from './figures.ts';
import { cardsOf, listen, noMeterHere } from './telemetry-listen.ts';
import { parseSpan } from './until.ts';

export interface RecordOptions {
  /** `10m`; not given: until Ctrl-C. */
  readonly for?: string;
  readonly json?: boolean;
  readonly interrupts: Pick<Interrupts, 'take' | 'count'>;
}

/**
 * Writes what the meters say into a new file, for `telemetry replay` and `telemetry calibrate`.
 * @returns the exit code
 * @throws InputError `recording_exists`, `not_writable`
 * @throws UnavailableError `no_meter` where there is nothing to record; then there is no file either
 */
export async function telemetryRecord(app: App, file: string, options: RecordOptions): Promise<number> {
  const { io, clock } = app;
  const lasts = options.for === undefined ? null : parseSpan(options.for);
  const cards = await cardsOf(app);
  const started = clock.now();
  const driver = cards.gpus[0]?.driver ?? null;
  const recording = await createRecording(file, { started, driver, names: cards.names });
  let readings = 0;
  let listened: Awaited<ReturnType<typeof listen>>;
  try {
    listened = await listen(app, cards, {
      lasts,
      interrupts: options.interrupts,
      onReading: (reading) => {
        readings += 1;
        recording.reading(reading);
      },
      onRow: (row) => recording.row(row),
      onSecond: (passed) => io.live(`${counted(readings, 'reading')} in ${seconds(passed)}; Ctrl-C ends it`),
    });
  } finally {
    io.live('');
    await recording.close();
  }
  if (listened === 'silent') {
    await unlink(file);
    throw new UnavailableError(noMeterHere(app), { code: 'no_meter' });
  }
  const took = (clock.now() - started) / 1000;
  if (options.json === true) io.out(JSON.stringify({ file, readings, seconds: took }));
  else io.out(`${counted(readings, 'reading')} in ${seconds(took)}: kilnwatt telemetry replay ${file}`);
  return EXIT.done;
}
