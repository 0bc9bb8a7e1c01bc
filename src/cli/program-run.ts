import { type Command, Option } from 'commander';
import { InputError } from '../errors.ts';
import type { Said } from '../job/fields.ts';
import { addPlaces, type PlaceFlags } from './program-places.ts';
import type { RunOptions } from './run.ts';

export type RunFlags = PlaceFlags &
  Omit<RunOptions, 'interrupts'> & {
    readonly model?: string;
    readonly preset?: string;
    readonly pattern?: string;
    readonly format?: string;
    readonly sidecar?: string;
  };

type Action = (words: readonly string[], flags: RunFlags) => Promise<void>;

export function addRun(program: Command, action: Action): void {
  const command = program
    .command('run')
    .summary('make the pictures of a prompt file, or of one prompt')
    .description(
      'Makes the pictures of FILE (.txt, .csv, .jsonl, or any name with a slash), or of one PROMPT.\n' +
        'A run is known by its name: with --name, what is done stays done. The same command resumes an interrupted run.',
    );
  addAsk(command)
    .option('--contact-sheet <file>', 'also draw all pictures of the run, with their prompts, into one PNG')
    .option(
      '--on-done <command>',
      'a shell command to run when the run is done, with KILNWATT_LINE and KILNWATT_RUN in its environment; 60 s at most',
    )
    .option('--dry-run', 'show what would be made; change nothing')
    .option('--devices <list>', 'auto, cpu, cpu:2, or cards: 0,1');
  addFields(command);
  addPlaces(command).action(async (word: string, flags: RunFlags) => action([word], flags));
}

export function addSubmit(program: Command, action: Action): void {
  const command = program
    .command('submit')
    .summary('hand a prompt file, or one prompt, to `kilnwatt serve`')
    .description(
      'As `run`, but only writes the run down and returns: `kilnwatt serve` makes its pictures, now or when it starts.\n' +
        'With --redis-url it is handed to the `kilnwatt serve` of that queue, on whatever host, which says how to name the queue.',
    );
  addAsk(command);
  addFields(command);
  addPlaces(command).action(async (word: string, flags: RunFlags) => action([word], flags));
}

/** What is asked for, by `run` and `submit` alike. */
function addAsk(command: Command): Command {
  return command
    .argument('<FILE|PROMPT>', 'a prompt file that exists, or a prompt in quotes')
    .option(
      '--model <name>',
      'folder, name of a model in the models folder or of one that comes with kilnwatt, or hub id',
    )
    .option('--preset <name>', 'how models are loaded: auto, or a name from `presets ls`')
    .option('-n, --n <count>', 'pictures of each line', countOf('-n'))
    .addOption(
      new Option('--order <order>', 'with -n: first one of every line, or all of a line first')
        .choices(['breadth', 'depth'])
        .default('breadth'),
    )
    .addOption(
      new Option(
        '--priority <priority>',
        'interactive goes before bulk; not given: one prompt is interactive, a file bulk',
      ).choices(['interactive', 'bulk']),
    )
    .addOption(
      new Option(
        '--when <when>',
        'cheap: waits while a price of the next 24 hours is lower than that of now; one prompt too, which is bulk then',
      ).choices(['now', 'cheap']),
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
    .option('--sidecar <kind>', 'also write a txt or json file beside each picture')
    .option('--literal', 'prompt syntax that the worker does not speak is passed on as text')
    .option('--new', 'a new run, even when an interrupted one has the same lines')
    .option('--retry-failed', 'try the failed ones again')
    .option('--remake-missing', 'make pictures again whose files are gone');
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
  [
    '--lora <name[:weight]>',
    'lora',
    'a LoRA by its file or its name in the models folder under loras; may be given often',
  ],
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

export function countOf(place: string): (value: string) => number {
  return (value) => {
    const count = Number(value);
    if (!Number.isInteger(count) || count < 1)
      throw new InputError(`needs a whole number from 1 on, not "${value}"`, { code: 'bad_flag', place });
    return count;
  };
}

export function tagOf(value: string, tags: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf('=');
  if (at < 1) throw new InputError(`needs key=value, not "${value}"`, { code: 'bad_flag', place: '--tag' });
  return { ...tags, [value.slice(0, at)]: value.slice(at + 1) };
}
