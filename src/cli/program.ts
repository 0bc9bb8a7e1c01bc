import { Command, CommanderError } from 'commander';
import type { ConfigSources } from '../config.ts';
import type { App, Interrupts } from './app.ts';
import { configPath, configSchema, configShow } from './config.ts';
import { doctor } from './doctor.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { type Io, processIo } from './io.ts';
import { addControl } from './program-control.ts';
import { addLedger } from './program-ledger.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';
import { addPresets } from './program-presets.ts';
import { addRun, addSubmit, type RunFlags } from './program-run.ts';
import { addTariff } from './program-tariff.ts';
import { addTelemetry } from './program-telemetry.ts';
import { run } from './run.ts';
import { submit } from './submit.ts';

export interface ProgramOptions {
  /** Program and version. */
  readonly version: string;
  readonly io?: Io;
  buildApp(flags: NonNullable<ConfigSources['flags']>, io: Io): App;
  readonly interrupts: Interrupts;
}

/**
 * The command line: reads it, runs the command, and turns whatever is thrown into one sentence on stderr.
 * @param argv the words after the program's name
 * @returns the exit code
 */
export async function main(argv: readonly string[], options: ProgramOptions): Promise<number> {
  const io = options.io ?? processIo();
  let code: number = EXIT.done;
  const program = programOf(options, io, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.input;
    io.err(`kilnwatt: ${explain(error)}`);
    return exitCodeOf(error);
  }
}

type Finish = (code: number) => void;

function programOf(options: ProgramOptions, io: Io, finish: Finish): Command {
  const program = new Command('kilnwatt')
    .description('Makes pictures on your own GPU, loses no job, and says what each picture cost.')
    .version(options.version, '-V, --version')
    .showHelpAfterError('(kilnwatt --help lists the commands; kilnwatt COMMAND --help its options)')
    .configureOutput({ writeOut: (text) => io.out(text.trimEnd()), writeErr: (text) => io.err(text.trimEnd()) })
    .exitOverride();
  const withApp = async (flags: NonNullable<ConfigSources['flags']>, use: (app: App) => Promise<number>) => {
    const app = options.buildApp(flags, io);
    try {
      finish(await use(app));
    } finally {
      await app.close();
    }
  };
  addRun(program, (words, flags) =>
    withApp(configFlags(flags), (app) => run(app, words, { ...flags, interrupts: options.interrupts })),
  );
  addSubmit(program, (words, flags) =>
    withApp(configFlags(flags), (app) => submit(app, words, { ...flags, interrupts: options.interrupts })),
  );
  addControl(program, {
    interrupts: options.interrupts,
    withApp: (flags, use) => withApp(configFlags(flags), use),
  });
  addPresets(program, (flags, use) => withApp(configFlags(flags), use));
  addTariff(program, (flags, use) => withApp(configFlags(flags), use));
  addTelemetry(program, { interrupts: options.interrupts, withApp: (flags, use) => withApp(configFlags(flags), use) });
  addLedger(program, (flags, use) => withApp(configFlags(flags), use));
  addDoctor(program, (flags) =>
    withApp(configFlags(flags), async (app) => doctor(await app.checked(), io, { json: flags.json === true })),
  );
  addConfig(program, withApp, io);
  return program;
}

/** The flags that stand for a setting; the rest says what to make. */
function configFlags(flags: Partial<RunFlags>): NonNullable<ConfigSources['flags']> {
  return {
    data_dir: flags.dataDir,
    redis_url: flags.redisUrl,
    devices: flags.devices,
    model: flags.model,
    preset: flags.preset,
    out: flags.out,
    pattern: flags.pattern,
    format: flags.format,
    sidecar: flags.sidecar,
    when: flags.when,
  };
}

function addDoctor(program: Command, action: (flags: PlaceFlags) => Promise<void>): void {
  const command = program
    .command('doctor')
    .summary('check this machine, and say what mends it')
    .option('--devices <list>', 'auto, cpu, cpu:2, or cards: 0,1');
  addPlaces(command).action(action);
}

function addConfig(
  program: Command,
  withApp: (flags: NonNullable<ConfigSources['flags']>, use: (app: App) => Promise<number>) => Promise<void>,
  io: Io,
): void {
  const command = program.command('config').summary('show the configuration, where it comes from, and its schema');
  addPlaces(command.command('show').summary('every setting with its value and origin')).action((flags: PlaceFlags) =>
    withApp(configFlags(flags), async (app) => {
      configShow(app.loaded, io, { json: flags.json === true });
      return EXIT.done;
    }),
  );
  addPlaces(command.command('path').summary('the files that are looked at')).action((flags: PlaceFlags) =>
    withApp(configFlags(flags), async (app) => {
      configPath(app.loaded, io, { json: flags.json === true });
      return EXIT.done;
    }),
  );
  command
    .command('schema')
    .summary('JSON Schema of kilnwatt.yaml, for editors')
    .action(() => configSchema(io));
}
