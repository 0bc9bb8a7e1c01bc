import type { Command } from 'commander';
import type { App, Interrupts } from './app.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';

export interface TelemetryOptions {
  readonly interrupts: Interrupts;
  withApp(flags: PlaceFlags, use: (app: App) => Promise<number>): Promise<void>;
}

type SpanFlags = PlaceFlags & { readonly for?: string };

/** The commands that look at the meters of this host. */
export function addTelemetry(program: Command, { withApp, interrupts }: TelemetryOptions): void {
  const telemetry = program
    .command('telemetry')
    .summary('what the meters of this host say: watch, record, replay, calibrate');
  const watch = telemetry
    .command('watch')
    .summary('power and energy of each card, of the CPU and at the wall, now')
    .option('--for <span>', 'how long: 30s, 5m, 1h; otherwise until Ctrl-C');
  addPlaces(watch)
    .addHelpText('after', WATCH_HELP)
    .action((flags: SpanFlags) =>
      withApp(flags, async (app) =>
        (await import('./telemetry-watch.ts')).telemetryWatch(app, { ...flags, interrupts }),
      ),
    );
  const record = telemetry
    .command('record')
    .summary('write what the meters say into a new file')
    .argument('<FILE>', 'must not be there yet; NDJSON, as it came')
    .option('--for <span>', 'how long: 30s, 5m, 1h; otherwise until Ctrl-C, which ends it whole');
  addPlaces(record).action((file: string, flags: SpanFlags) =>
    withApp(flags, async (app) =>
      (await import('./telemetry-record.ts')).telemetryRecord(app, file, { ...flags, interrupts }),
    ),
  );
  const replay = telemetry
    .command('replay')
    .summary('what a recording comes to, for each card')
    .argument('<FILE>', 'by `telemetry record`');
  addPlaces(replay)
    .addHelpText('after', REPLAY_HELP)
    .action((file: string, flags: PlaceFlags) =>
      withApp(flags, async (app) => (await import('./telemetry-replay.ts')).telemetryReplay(app, file, flags)),
    );
  const calibrating = telemetry
    .command('calibrate')
    .summary('what the power supply loses and the rest of the host draws, by a smart plug')
    .argument('[FILE]', 'a recording with a plug; not given: here and now, with the plug of energy.plug_url')
    .option('--for <span>', 'how long, here and now (5m): first rest, then work');
  addPlaces(calibrating)
    .addHelpText('after', CALIBRATE_HELP)
    .action((file: string | undefined, flags: SpanFlags) =>
      withApp(flags, async (app) =>
        (await import('./telemetry-calibrate.ts')).telemetryCalibrate(app, file, { ...flags, interrupts }),
      ),
    );
}

const WATCH_HELP = `
In a terminal a table that is drawn anew each second, elsewhere a line a second; with --json each
reading as it comes, and a summary at the end. "?" is what a meter does not tell, and never 0;
"silent" is a meter that was not heard for 5 seconds. Energy counts from the start of this command,
by the card's own counter; with ~ it is the integral of its power. Ctrl-C ends it with code 0. A host
without meters is no error: it says what is assumed there, and ends with code 0.`;

const REPLAY_HELP = `
A recording that ends in the middle of a line was cut short, which is said. With --json one object:
gpus, wall, package, lost. Of each card:
  seconds            from its first reading to its last
  energy_counter_j   joules by its own counter, in counter_seconds; null before its second reading.
                     Where the counter fell (the driver was loaded anew) or rose by more than the
                     card can draw, that stretch is the integral of its power
  energy_integral_j  joules by its sampled power, without missing_seconds; null where it tells none
  bound_j            what that is off by at most, whatever the power did within its range
                     between the samples
  likely_j           the same where it went straight from each sample to the next
  coarse             bound_j is over 5 % of it, or there are gaps, or fewer than 5 samples
  integral_ratio     integral / counter over the same time, of ratio_seconds
  gaps, gap_seconds  times of over 1 s without a sample; missing_seconds are in those of over 5 s
  peak_w             the highest sample, in watts; a peak between two samples may be higher
  idle_w             the 10th percentile of the samples at a utilisation of 0, in watts; null where
                     there are none
  lost               how often the meters of the cards fell silent
  flags              counter_fell, implausible, unfilled, disagrees, mean_power`;

const CALIBRATE_HELP = `
The whole host must hang on the plug, and nothing else. Only moments count in which plug and cards
were steady for 10 seconds, at loads that are 40 W apart and more: 30s is the least that --for takes.`;
