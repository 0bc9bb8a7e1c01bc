import { type Calibration, calibrate } from '../cost/calibration.ts';
import { type LoadPair, LoadPairs, steadyOf } from '../cost/load-pairs.ts';
import { ConfigError, InputError, UnavailableError } from '../errors.ts';
import type { Reading } from '../ports.ts';
import { readRecording } from '../telemetry/recording.ts';
import type { Millis } from '../units.ts';
import type { App, Interrupts } from './app.ts';
import { EXIT } from './exit.ts';
import { counted, whole } from './figures.ts';
import { cardsOf, listen } from './telemetry-listen.ts';
import { parseSpan } from './until.ts';

export interface CalibrateOptions {
  /** `5m`, of a live one. */
  readonly for?: string;
  readonly json?: boolean;
  readonly interrupts: Pick<Interrupts, 'take' | 'count'>;
}

/**
 * Finds what the supply loses and what the rest of the host draws, from a plug and the cards beside each other.
 * @param file a recording; undefined: here and now
 * @returns the exit code
 * @throws InputError `not_calibrated` with the reason
 * @throws ConfigError `no_plug`
 * @throws UnavailableError `no_meter` where there is no card to compare the plug with
 */
export async function telemetryCalibrate(
  app: App,
  file: string | undefined,
  options: CalibrateOptions,
): Promise<number> {
  const pairs = file === undefined ? await live(app, options) : await recorded(file, options);
  const found = calibrate(pairs);
  if (!found.ok) {
    const place = file === undefined ? {} : { place: file };
    throw new InputError(`cannot be calibrated by this: ${found.reason}`, { code: 'not_calibrated', ...place });
  }
  if (options.json === true) app.io.out(JSON.stringify(eventOf(found)));
  else for (const line of linesOf(found)) app.io.out(line);
  return EXIT.done;
}

type Found = Extract<Calibration, { readonly ok: true }>;

async function recorded(file: string, options: CalibrateOptions): Promise<readonly LoadPair[]> {
  if (options.for !== undefined)
    throw new InputError('is for a calibration here and now; leave it out with a recording', {
      code: 'bad_flag',
      place: '--for',
    });
  const collected = new Collected();
  for await (const reading of readRecording(file)) if (reading.kind !== 'mark') collected.add(reading);
  return collected.pairs;
}

async function live(app: App, options: CalibrateOptions): Promise<readonly LoadPair[]> {
  const { io } = app;
  const lasts = parseSpan(options.for ?? '5m');
  if (lasts < LEAST_MS)
    throw new InputError('is too short: plug and cards must be steady for 10 s at two loads, so give 30s or more', {
      code: 'bad_flag',
      place: '--for',
    });
  if (app.loaded.config.energy.plug === null)
    throw new ConfigError(
      'energy.plug_url: set the address of a smart plug that this host hangs on, and calibrate again',
      {
        code: 'no_plug',
      },
    );
  const cards = await cardsOf(app);
  if (cards.gpus.length === 0 && cards.error === null)
    throw new UnavailableError(
      'there is no NVIDIA card here whose power could be compared with the plug; leave energy.supply_efficiency and energy.host_watts as they are',
      { code: 'no_meter' },
    );
  io.err(`For ${whole(lasts / 1000)} s plug and cards are compared; Ctrl-C ends it early.`);
  io.err('First let the cards rest for a minute.');
  const collected = new Collected();
  let told = false;
  await listen(app, cards, {
    lasts,
    interrupts: options.interrupts,
    onReading: (reading) => {
      collected.add(reading);
      if (reading.kind === 'lost') io.err(`telemetry lost: ${reading.reason}`);
    },
    onSecond: (passed) => {
      if (!told && passed >= Math.min(REST_SECONDS, lasts / 2000)) {
        told = true;
        io.err('Now give them work until the end, in another terminal: large batches, which draw evenly.');
      }
      io.live(collected.line);
    },
  });
  io.live('');
  return collected.pairs;
}

const REST_SECONDS = 60;
const LEAST_MS: Millis = 30_000;

class Collected {
  readonly pairs: LoadPair[] = [];
  readonly #pairs = new LoadPairs();

  add(reading: Reading): void {
    const pair = this.#pairs.add(reading);
    if (pair !== null) this.pairs.push(pair);
  }

  get line(): string {
    const last = this.pairs.at(-1);
    const now =
      last === undefined
        ? 'no reading of plug and cards yet'
        : `cards ${whole(last.gpu)} W, wall ${whole(last.wall)} W`;
    return `${now}; ${counted(steadyOf(this.pairs).length, 'steady reading')}`;
  }
}

function linesOf({ supplyEfficiency, hostWatts, residual, count, dropped, least, most }: Found): readonly string[] {
  const left = dropped === 0 ? '' : `; left out: ${counted(dropped, 'reading')} of something else`;
  return [
    `From ${counted(count, 'steady reading')}, with the cards at ${least} to ${most} W; off by ${residual} W in the mean${left}.`,
    'In kilnwatt.yaml:',
    'energy:',
    `  supply_efficiency: ${supplyEfficiency}`,
    `  host_watts: ${hostWatts}`,
  ];
}

function eventOf({ supplyEfficiency, hostWatts, residual, count, dropped, least, most }: Found) {
  return {
    supply_efficiency: supplyEfficiency,
    host_watts: hostWatts,
    residual_w: residual,
    readings: count,
    dropped,
    least_w: least,
    most_w: most,
  };
}
