import { Command, CommanderError, Option } from 'commander';
import type { ConfigSources } from '../config.ts';
import { InputError } from '../errors.ts';
import type { Said } from '../job/fields.ts';
import { PRESETS } from '../preset/catalogue.ts';
import type { App, Interrupts } from './app.ts';
import { configPath, configSchema, configShow } from './config.ts';
import { doctor } from './doctor.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { type Io, processIo } from './io.ts';
import { type RunOptions, run } from './run.ts';

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
  addDoctor(program, (flags) =>
    withApp(configFlags(flags), async (app) => doctor(await app.checked(), io, { json: flags.json === true })),
  );
  addConfig(program, withApp, io);
  return program;
}

interface PlaceFlags {
  readonly dataDir?: string;
  readonly redisUrl?: string;
  readonly devices?: string;
  readonly json?: boolean;
}

type RunFlags = PlaceFlags &
  Omit<RunOptions, 'interrupts'> & {
    readonly model?: string;
    readonly preset?: string;
    readonly pattern?: string;
    readonly format?: string;
    readonly sidecar?: string;
  };

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
  };
}

function addRun(program: Command, action: (words: readonly string[], flags: RunFlags) => Promise<void>): void {
  const command = program
    .command('run')
    .summary('make the pictures of a prompt file, or of one prompt')
    .description(
      'Makes the pictures of FILE (.txt, .csv, .jsonl, or any name with a slash), or of one PROMPT.\n' +
        'A run is known by its name: with --name, what is done stays done. The same command resumes an interrupted run.',
    )
    .argument('<FILE|PROMPT>', 'a prompt file that exists, or a prompt in quotes')
    .option(
      '--model <name>',
      'folder, name of a model in the models folder or of one that comes with kilnwatt, or hub id',
    )
    .option('--preset <name>', `how models are loaded: ${PRESETS.map(({ name }) => name).join(', ')}`)
    .option('-n, --n <count>', 'pictures of each line', countOf('-n'))
    .addOption(
      new Option('--order <order>', 'with -n: first one of every line, or all of a line first')
        .choices(['breadth', 'depth'])
        .default('breadth'),
    )
    .option('--name <name>', 'name of the run; what is done under this name stays done')
    .addOption(
      new Option('--tag <key=value>', 'written to the ledger with every picture; may be given often')
        .argParser(tagOf)
        .default({}, 'none'),
    )
    .option('--out <folder>', 'folder of the pictures')
    .option(
      '--pattern <pattern>',
      'names of the pictures: {run} {index:05} {seed} {id} {date} {prompt:40} {model} {name}',
    )
    .option('--format <format>', 'png, jpeg or webp')
    .option('--contact-sheet <file>', 'also draw all pictures of the run, with their prompts, into one PNG')
    .option('--sidecar <kind>', 'also write a txt or json file beside each picture')
    .option('--dry-run', 'show what would be made; change nothing')
    .option('--literal', 'prompt syntax that the worker does not speak is passed on as text')
    .option('--new', 'a new run, even when an interrupted one has the same lines')
    .option('--retry-failed', 'try the failed ones again')
    .option('--remake-missing', 'make pictures again whose files are gone')
    .option('--devices <list>', 'auto, cpu, cpu:2, or cards: 0,1');
  addFields(command);
  addPlaces(command).action(async (word: string, flags: RunFlags) => action([word], flags));
}

/** Request fields, by our names and A1111's; their values are read as those in a prompt file are. */
const FIELD_OPTIONS: readonly (readonly [flags: string, name: string, text: string | null])[] = [
  ['--size <WxH>', 'size', 'pixels; otherwise what the model was made for'],
  ['--width <pixels>', 'width', null],
  ['--height <pixels>', 'height', null],
  ['--steps <count>', 'steps', 'denoising steps'],
  ['--cfg <scale>', 'cfg_scale', 'guidance (also --cfg-scale, --guidance)'],
  ['--cfg-scale <scale>', 'cfg_scale', null],
  ['--guidance <scale>', 'cfg_scale', null],
  ['--sampler <name>', 'sampler', 'for example "DPM++ 2M", "Euler a" (also --scheduler)'],
  ['--scheduler <name>', 'scheduler', null],
  ['--schedule <name>', 'schedule', 'spacing of the noise levels: karras, exponential …'],
  ['--negative <text>', 'negative_prompt', 'what should not be in the pictures'],
  ['--negative-prompt <text>', 'negative_prompt', null],
  ['--clip-skip <count>', 'clip_skip', 'as A1111 counts: 1 means none'],
  ['--seed <number>', 'seed', 'of the first picture; otherwise drawn and written down'],
];

function addFields(command: Command): void {
  const said: Said[] = [];
  for (const [flags, name, text] of FIELD_OPTIONS) {
    const label = flags.split(' ')[0] ?? flags;
    const option = new Option(flags, text ?? '').argParser((value: string) => said.push({ name, label, value }));
    command.addOption(text === null ? option.hideHelp() : option);
  }
  command.hook('preAction', () => {
    command.setOptionValue('fields', said);
  });
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

function addPlaces(command: Command): Command {
  return command
    .option('--data-dir <folder>', 'database, queue and models')
    .option('--redis-url <url>', 'a Redis or Valkey to use instead of the own one')
    .option('--json', 'machine-readable output on stdout');
}

function countOf(place: string): (value: string) => number {
  return (value) => {
    const count = Number(value);
    if (!Number.isInteger(count) || count < 1)
      throw new InputError(`needs a whole number from 1 on, not "${value}"`, { code: 'bad_flag', place });
    return count;
  };
}

function tagOf(value: string, tags: Record<string, string>): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InputError(`needs key=value, not "${value}"`, { code: 'bad_flag', place: '--tag' });
  return { ...tags, [value.slice(0, at)]: value.slice(at + 1) };
}
