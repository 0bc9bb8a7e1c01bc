import { unlink } from 'node:fs/promises';
import { UnavailableError } from '../errors.ts';
import { type Recorder, recordTelemetry } from '../telemetry/recorder.ts';
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
 * @throws InputError `recording_exists`
 * @throws StorageError `recording_failed`
 * @throws UnavailableError `no_meter` where there is nothing to record; then there is no file either
 */
export async function telemetryRecord(app: App, file: string, options: RecordOptions): Promise<number> {
  const { io, clock, telemetry } = app;
  const lasts = options.for === undefined ? null : parseSpan(options.for);
  const started = clock.now();
  let readings = 0;
  let recorder: Recorder | null = null;
  const listened = await listen(app, await cardsOf(app), {
    lasts,
    interrupts: options.interrupts,
    start: async (onReading) => {
      recorder = await recordTelemetry(telemetry, file, { clock, onReading });
      return recorder;
    },
    // A disk that is full; it is told by the recorder's end.
    isOver: () => recorder !== null && recorder.fault !== null,
    onReading: () => {
      readings += 1;
    },
    onSecond: (passed) => io.live(`${counted(readings, 'reading')} in ${seconds(passed)}; Ctrl-C ends it`),
  }).finally(() => io.live(''));
  if (listened === 'silent') {
    await unlink(file);
    throw new UnavailableError(noMeterHere(app), { code: 'no_meter' });
  }
  const took = (clock.now() - started) / 1000;
  if (options.json === true) io.out(JSON.stringify({ file, readings, seconds: took }));
  else io.out(`${counted(readings, 'reading')} in ${seconds(took)}: kilnwatt telemetry replay ${file}`);
  return EXIT.done;
}
